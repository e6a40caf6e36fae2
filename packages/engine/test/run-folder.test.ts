import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '@engram/runtime';
import { until } from '../../../test/support/until.ts';
import { RunFolder } from '../src/run-folder.ts';

function dataFolder(under = ''): string {
  const root = mkdtempSync(join(tmpdir(), 'engram-run-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const folder = join(root, under);
  mkdirSync(folder, { recursive: true });
  return folder;
}

async function opened(dataDir: string): Promise<RunFolder> {
  const faults: string[] = [];
  const folder = await RunFolder.open(dataDir, (message) => faults.push(message));
  expect(faults).toEqual([]);
  writeFileSync(join(folder.path, 'data'), '');
  return folder;
}

/** A process with a folder there, which it says the path of. */
async function startOwner(dataDir: string) {
  const module = new URL('../dist/run-folder.js', import.meta.url).href;
  const code = `
    const { RunFolder } = await import(${JSON.stringify(module)});
    const { path } = await RunFolder.open(${JSON.stringify(dataDir)}, console.error);
    console.log(path);
    setInterval(() => {}, 1_000);
  `;
  const child = spawn(execPath, ['--input-type=module', '-e', code]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [path] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, path: path.toString().trim() };
}

test.each(['', `${'long/'.repeat(60)}folder`])(
  'a folder is kept as long as its process lives, paused too, in a data folder .../%s',
  async (under) => {
    const dataDir = dataFolder(under);
    const { child, path } = await startOwner(dataDir);
    child.kill('SIGSTOP');
    const first = await opened(dataDir);
    const second = await opened(dataDir);
    expect([path, first.path, second.path].map((each) => existsSync(each))).toEqual([
      true,
      true,
      true,
    ]);
    await first.remove();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const third = await opened(dataDir);
    expect([path, first.path, second.path, third.path].map((each) => existsSync(each))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    await second.remove();
    await third.remove();
    expect(readdirSync(dataDir)).toEqual(['segments']);
  },
);

test('symptom: a process of another container was taken for an ended one, or for this one, by its number', async () => {
  const dataDir = dataFolder();
  // As processes of containers do, these two have one number.
  const first = await opened(dataDir);
  const second = await opened(dataDir);
  expect(existsSync(join(first.path, 'data'))).toBe(true);
  await first.remove();
  expect(existsSync(join(second.path, 'data'))).toBe(true);
  await second.remove();
});

test('a data folder that cannot be used is named', async () => {
  const dataDir = dataFolder();
  writeFileSync(join(dataDir, 'file'), '');
  await expect(RunFolder.open(join(dataDir, 'file'), () => undefined)).rejects.toThrow(
    /the data folder .*file cannot be used/,
  );
});

test.each(['the folder', 'the cache beside it'])(
  'who watches is told once that somebody removed %s',
  async (what) => {
    const dataDir = dataFolder();
    const folder = await opened(dataDir);
    const told: string[] = [];
    folder.watch(systemClock, ({ message }) => told.push(message));
    const gone = what === 'the folder' ? folder.path : join(dataDir, 'segments');
    rmSync(gone, { recursive: true });
    await until('it is told', () => told.length > 0);
    expect(told).toEqual([`the data folder ${dataDir} was removed under the process`]);
    await folder.remove();
  },
);
