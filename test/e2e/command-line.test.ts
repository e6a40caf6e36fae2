import { execFile, type ExecFileException } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, readClusterState } from '@engram/local-cluster';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

// The command line as a user types it, and the commands that the README shows.

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'packages/cli/dist/main.js');

let folder: Awaited<ReturnType<typeof tempDir>>;
let data: string;
let url: string;

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function start(program: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { cwd: folder.path, timeout: 120_000, env: { ...process.env, ENGRAM_URL: url } },
      (error: ExecFileException | null, out, err) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, out, err });
      },
    );
  });
}

const engram = (...args: string[]) => start(process.execPath, [MAIN, ...args]);
const json = async (...args: string[]): Promise<unknown> => {
  const { code, out, err } = await engram(...args, '--json');
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out);
};

beforeAll(async () => {
  folder = await tempDir();
  data = join(folder.path, 'data');
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const up = await engram('up', '--detach', '--data', data, '--port', String(port), '--no-demo');
  expect(up.code, up.out + up.err).toBe(0);
});

afterAll(async () => {
  await engram('down', '--data', data);
  await folder[Symbol.asyncDispose]();
});

test('status shows a healthy cluster of two shards and a gateway', async () => {
  const status = await engram('status', '--data', data);
  expect(status.code, status.out + status.err).toBe(0);
  for (const member of ['gateway-1', 'shard-1', 'shard-2', 'nats', 'redis'])
    expect(status.out).toContain(member);
});

test('up again on the same folder says where the cluster is', async () => {
  const again = await engram('up', '--detach', '--data', data);
  expect([again.code, again.out.includes(url)]).toEqual([0, true]);
  expect(again.err).not.toContain('changed nothing');
  const larger = await engram('up', '--detach', '--shards', '5', '--data', data);
  expect(larger.code).toBe(0);
  expect(larger.err).toMatch(/--shards changed nothing; end it first: .* down --data /);
});

test('a space is made, filled, searched and deleted', async () => {
  await json('spaces', 'create', 'cli', '--dimension', '2');
  await json('put', 'cli', '--id', 'east', '--embedding', '[1,0]', '--metadata', '{"axis":"x"}');
  await json('put', 'cli', '--id', 'north', '--embedding', '[0,1]', '--ack', 'searchable');
  const found = (await json('recall', 'cli', '--embedding', '[1,0.1]', '-k', '1')) as {
    results: { id: string; metadata: unknown }[];
  };
  expect(found.results).toMatchObject([{ id: 'east', metadata: { axis: 'x' } }]);
  expect((await engram('spaces')).out).toContain('cli');
  expect((await engram('spaces', 'delete', 'cli', '--yes')).code).toBe(0);
  const gone = await engram('recall', 'cli', '--embedding', '[1,0]');
  expect(gone.code).toBe(1);
  expect(gone.err).toMatch(/there is no space cli .* spaces create cli --dimension N/);
});

test('import takes what is good, saves what is not and ends with code 3', async () => {
  const file = join(folder.path, 'mixed.ndjson');
  const lines = Array.from({ length: 1_000 }, (_, i) =>
    JSON.stringify({ id: `row-${i}`, embedding: [i, 1, 1] }),
  );
  lines[17] = '{"id":"row-17","embedding":[1,2]}';
  lines[500] = 'no json';
  await writeFile(file, lines.join('\n'));
  await engram('spaces', 'create', 'mixed', '--dimension', '3');
  const imported = await engram('import', 'mixed', file, '--ack', 'searchable');
  expect(imported.code, imported.err).toBe(3);
  expect(imported.err + imported.out).toMatch(/998 accepted.*2 rejected/);
  expect(
    (
      await readFile(`${file.replace(/\.ndjson$/, '')}.rejected.ndjson`, 'utf8').catch(() =>
        readFile(`${file}.rejected.ndjson`, 'utf8'),
      )
    )
      .split('\n')
      .filter(Boolean),
  ).toHaveLength(2);
  expect(await json('spaces', 'show', 'mixed')).toMatchObject({ count: 998 });
  const csv = join(folder.path, 'points.csv');
  await writeFile(csv, 'id,x,y,label\na,1,2,first\nb,3,4,second\n');
  const points = await engram(
    'import',
    'points',
    csv,
    '--create',
    '--metric',
    'l2',
    '--embedding-columns',
    'x,y',
  );
  expect(points.code, points.err).toBe(0);
});

test('doctor finds nothing wrong with a cluster that is well, and top shows its shards', async () => {
  const { checks } = await until('doctor has no complaint', async () => {
    const { code, out } = await engram('doctor', '--json');
    return code === 0 && (JSON.parse(out) as { checks: { name: string }[] });
  });
  const names = checks.map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(['gateway', 'ready', 'nats', 'redis', 'partitions', 'log', 'clock']),
  );
  const top = (await engram('top', '--once', '--interval', '100', '--json')).out;
  expect(JSON.parse(top)).toMatchObject({
    degraded: false,
    shards: [{ shard: 'shard-1' }, { shard: 'shard-2' }],
  });
});

test('wrong usage ends with code 2 and a hint', async () => {
  const typo = await engram('recal', 'words');
  expect([typo.code, typo.err.includes('recall')]).toEqual([2, true]);
  expect((await engram('recall', 'words', '-k', 'many', '--id', 'x')).code).toBe(2);
});

test('the commands of the README do what it says', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const section = readme.split('## Write and find')[1]!.split('\n| route |')[0]!;
  const block = /```sh\n([\s\S]*?)```/.exec(section)![1]!;
  const commands = block
    .split(/\n\n(?=curl)/)
    .map((text) => text.replaceAll('localhost:7700', url.slice('http://'.length)));
  expect(commands).toHaveLength(3);
  const answers = [];
  for (const command of commands)
    answers.push(JSON.parse((await start('bash', ['-c', command])).out));
  expect(answers).toMatchObject([
    { space: 'notes', dimension: 3 },
    { accepted: 2, rejected: 0, ack: 'searchable' },
    { results: [{ id: 'n1', metadata: { topic: 'tea' } }], degraded: false },
  ]);
});

test('down ends every process, and the data is there after the next start', async () => {
  const before = readClusterState(data)!;
  expect((await engram('down', '--data', data)).code).toBe(0);
  for (const { pid } of [before.supervisor, ...before.members])
    await until(`process ${pid} is gone`, () => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    });
  expect((await engram('down', '--data', data)).code).toBe(0);
  const port = new URL(url).port;
  const up = await engram('up', '--detach', '--data', data, '--port', port, '--no-demo');
  expect(up.code, up.out + up.err).toBe(0);
  await until(
    'everything is read back',
    async () => ((await json('spaces', 'show', 'mixed')) as { count: number }).count === 998,
  );
});
