// What the documents tell people to type, typed. Commands of Docker are run by test/docker, those of `curl` by
// command-line.test.ts.

import { execFile, spawn, type ExecFileException } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, readClusterState } from '@engram/local-cluster';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'packages/cli/dist/main.js');
const DOCUMENTS = ['README.md', 'OPERATIONS.md', 'CONTRIBUTING.md', 'packages/log/SUBJECTS.md'];
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

let folder: Awaited<ReturnType<typeof tempDir>>;
let port: number;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = await tempDir();
  port = await freePort();
  const bin = join(folder.path, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'engram'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
    mode: 0o755,
  });
  environment = {
    ...process.env,
    PATH: `${bin}:${process.env['PATH']}`,
    ENGRAM_URL: `http://127.0.0.1:${port}`,
  };
  const notes = [1, 2, 3].map((i) => `{"id": "n${i}", "embedding": [${i}, 1, 0]}\n`);
  await writeFile(join(folder.path, 'notes.ndjson'), notes.join(''));
  const [up] = commandLine();
  for (const command of [up!, 'engram import notes notes.ndjson --create']) {
    const { code, out } = await type(command);
    expect(code, `${command}\n${out}`).toBe(0);
  }
});

afterAll(async () => {
  await type('engram down');
  await folder[Symbol.asyncDispose]();
});

/** Commands of the n-th block below a heading: without what they say of themselves, lines that go on as one. */
function shown(document: string, heading: string, nth = 0): string[] {
  const section = read(document).split(`## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const block = [...section.matchAll(/```sh\n([\s\S]*?)```/g)][nth]![1]!;
  return block
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/\s+# .*$/, '').trim())
    .filter((line) => line !== '');
}

const commandLine = () =>
  shown('README.md', 'Command line').filter((line) => !line.startsWith('alias '));

interface Ended {
  readonly code: number;
  readonly out: string;
}

/** `engram up` of a test has a port of its own. */
const withPort = (command: string) => command.replace(/^engram up\b/, `engram up --port ${port}`);

function type(command: string): Promise<Ended> {
  const options = { cwd: folder.path, env: environment, timeout: 180_000 };
  return new Promise((resolve) => {
    execFile(
      'bash',
      ['-c', withPort(command)],
      options,
      (error: ExecFileException | null, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, out: out + err });
      },
    );
  });
}

/** One that goes on until Ctrl-C: it has to show this first, and to end then. */
async function typeAndWatch(
  command: string,
  wanted: string,
  { cwd = folder.path, deadlineMs = 60_000 } = {},
): Promise<void> {
  const child = spawn('bash', ['-c', `exec ${command}`], { cwd, env: environment });
  const ended = once(child, 'close');
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (out += text));
  try {
    await until(
      `${command} shows ${wanted}`,
      () => {
        expect(child.exitCode, out).toBeNull();
        return out.includes(wanted);
      },
      deadlineMs,
    );
  } finally {
    child.kill('SIGINT');
    await ended;
  }
}

test('each line of the command line, in the order of the README', async () => {
  const commands = commandLine();
  expect(commands.at(-1)).toBe('engram down'); // at the end of this file
  for (const command of commands.slice(0, -1)) {
    if (/^engram tail /.test(command)) await typeAndWatch(command, 'n3');
    else if (command === 'engram top') await typeAndWatch(command, '4 shards');
    else {
      // A warning is no failure, and two gateways have just been started.
      const { code, out } = await type(command);
      expect([0, command === 'engram doctor' ? 3 : 0], `${command}\n${out}`).toContain(code);
    }
  }
});

test('dead letters are listed, shown, redriven and purged', async () => {
  const { members } = readClusterState(join(folder.path, '.engram'))!;
  const servers = members.find(({ role }) => role === 'nats')!.url!;
  const nc = await connect({ servers });
  try {
    for (const space of ['gone', 'gone', 'notes'])
      await nc.jetstream().publish(`observe.normal.${space}`, '{"id": "x", "embedding": [1]}');
  } finally {
    await nc.close();
  }
  const commands = shown('README.md', 'Straight to NATS');
  const [list, ...rest] = commands;
  expect(commands).toHaveLength(4);
  const id = await until('two entries are set aside', async () => {
    const { out } = await type(list!);
    const ids = [...out.matchAll(/\b\d+-\d+\b/g)].map(([text]) => text);
    return ids.length >= 2 && ids[0];
  });
  for (const command of rest) {
    const { code, out } = await type(command.replace('0-1234', id));
    expect(code, `${command}\n${out}`).toBe(0);
  }
  expect(existsSync(join(folder.path, 'entry.bin'))).toBe(true);
  expect((await type(list!)).out).not.toContain(id);
});

test('a backup is made of a cluster that is down, and it goes on', async () => {
  const commands = shown('OPERATIONS.md', 'Backup and restore');
  expect(commands[0]).toBe('engram down');
  for (const command of commands) {
    const { code, out } = await type(command);
    expect(code, `${command}\n${out}`).toBe(0);
  }
  expect(existsSync(join(folder.path, 'backup/jetstream'))).toBe(true);
  const { code, out } = await type('engram verify');
  expect(code, out).toBe(0);
});

test('keys are made as the documents say', async () => {
  const forCompose = shown('OPERATIONS.md', 'docker compose', 1);
  const ofDocker = forCompose.findIndex((line) => line.startsWith('docker '));
  for (const command of [
    ...shown('README.md', 'Who may do what'),
    ...forCompose.slice(0, ofDocker),
  ]) {
    const { code, out } = await type(command);
    expect(code, `${command}\n${out}`).toBe(0);
  }
  const ids = (path: string) =>
    (JSON.parse(readFileSync(join(folder.path, path), 'utf8')) as { id: string }[]).map(
      ({ id }) => id,
    );
  expect(ids('keys.json')).toEqual(['ingest', 'app', 'operator']);
  expect(ids('keys/keys.json')).toEqual(['operator']);
});

test('a plan is made by the costs that a benchmark measured', async () => {
  const [, command] = /`(engram plan [^`]*--coefficients [^`]+)`/.exec(read('OPERATIONS.md'))!;
  const { code, out } = await type(`cd '${ROOT}' && ${command}`);
  expect(code, out).toBe(0);
  expect(out).toMatch(/shards/);
});

test('npm start shows the demo, and ends with Ctrl-C', async () => {
  expect(read('README.md')).toContain('```sh\nnpm start\n```');
  await using own = await tempDir();
  const args = `--data ${own.path}/data --port ${await freePort()}`;
  await typeAndWatch(`npm start -- ${args}`, 'searchable in the space words', {
    cwd: ROOT,
    deadlineMs: 180_000,
  });
  await until('its processes are gone', () => {
    const state = readClusterState(join(own.path, 'data'));
    return (state?.members ?? []).every(({ pid }) => !existsSync(`/proc/${pid}`));
  });
});

test('what is named in a line exists: commands, options, scripts and files', async () => {
  const scripts = (JSON.parse(read('package.json')) as { scripts: Record<string, string> }).scripts;
  const named = new Set(
    DOCUMENTS.flatMap((document) =>
      [...read(document).matchAll(/`((?:engram|pnpm|docker compose|npx) [^`\n]+)`/g)].map(
        ([, text]) => text!,
      ),
    ),
  );
  const faults: string[] = [];
  const helps = new Map<string, Promise<Ended>>();
  for (const command of named) {
    const [program, name, second] = command.split(' ') as [string, string, string?];
    const options = command.match(/--[a-z-]+/g) ?? [];
    for (const [path] of command.matchAll(/(?<= )[a-z]+\/[\w./-]+\w/g))
      if (!existsSync(join(ROOT, path))) faults.push(`${command}: there is no ${path}`);
    if (program === 'pnpm' && !(name in scripts)) faults.push(`${command}: no script`);
    if (program !== 'engram' || name === 'COMMAND') continue;
    const words = ['ring', 'dlq', 'keys', 'spaces'].includes(name) && /^[a-z]+$/.test(second ?? '');
    const path = words ? `${name} ${second}` : name;
    if (!helps.has(path)) helps.set(path, type(`engram ${path} --help`));
    const { code, out } = await helps.get(path)!;
    if (code !== 0 || !out.includes(`engram ${path}`)) faults.push(`${command}: no command`);
    for (const option of options)
      if (!out.includes(option)) faults.push(`${command}: no ${option}`);
  }
  expect(named.size).toBeGreaterThan(20);
  expect(faults).toEqual([]);
});
