import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { identityOf } from '../../runtime/src/process-identity.ts';
import type { Ran } from './run-command.ts';

// These commands start and end processes, so they are run as the shell runs them.

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const FIXTURES = fileURLToPath(new URL('../../local-cluster/test/fixtures/', import.meta.url));

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'engram-cli-'));
  onTestFinished(async () => {
    // A test that fails half-way must leave no cluster behind.
    await engram('down', '--data', folder);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

function engram(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], (_, out, err) =>
      resolve({ out, err, code: child.exitCode ?? -1 }),
    );
  });
}

/** A gateway that only describes its cluster. */
async function fakeGateway(cluster: unknown): Promise<string> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(cluster));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('every command has a help with examples', async () => {
  const commands = [
    'up',
    'down',
    'status',
    'ring',
    'spaces',
    'put',
    'import',
    'recall',
    'explain',
    'plan',
    'doctor',
    'top',
  ];
  for (const { out, code } of await Promise.all(commands.map((name) => engram(name, '--help')))) {
    expect(code).toBe(0);
    expect(out).toContain('Examples:');
  }
});

test('wrong usage is told with what comes near, and has its own exit code', async () => {
  const unknown = await engram('statsu');
  expect(unknown).toMatchObject({ code: 2, out: '' });
  expect(unknown.err).toContain("unknown command 'statsu'\n(Did you mean status?)");
  const wrong = await engram('up', '--shards', '0');
  expect(wrong).toMatchObject({ code: 2, out: '' });
  expect(wrong.err).toContain('It must be a whole number from 1 to 64.');
});

test('without a cluster, status fails, down does not, and both say so', async () => {
  const data = scratch();
  const status = await engram('status', '--data', data);
  expect(status).toMatchObject({ code: 1, out: '' });
  expect(status.err).toContain(`No cluster runs on ${data}. Start one with:`);
  expect(await engram('down', '--data', data)).toEqual({
    code: 0,
    out: '',
    err: `No cluster runs on ${data}.\n`,
  });
});

test('what a killed supervisor left is told, with how to end it', async () => {
  const data = scratch();
  const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  onTestFinished(() => void left.kill('SIGKILL'));
  await once(left, 'spawn');
  const member = { id: 'nats', role: 'nats', ...identityOf(left.pid!)!, port: 1, url: 'nats://x' };
  const supervisor = { pid: 2 ** 22, startedAt: 'long ago' };
  const state = {
    supervisor,
    since: '2026-01-01T00:00:00Z',
    partitionCount: 64,
    members: [member],
  };
  writeFileSync(join(data, 'cluster.json'), JSON.stringify(state));
  const { code, err } = await engram('status', '--data', data);
  expect(code).toBe(1);
  expect(err).toMatch(/1 process of a killed cluster .* End .*: .* down --data /);
});

test('the exit code of status tells a healthy cluster from a degraded and a silent one', async () => {
  const members = [
    { id: 'shard-2', role: 'shard', state: 'active', partitions: 1, ready: 0, lag: 7 },
    { id: 'gateway-1', role: 'gateway' },
  ];
  const least = { cluster: 'c', epoch: 4, members, degraded: false };
  const healthy = await fakeGateway({ ...least, partitionCount: 2 });
  const seen = await engram('status', '--url', healthy);
  expect(seen).toMatchObject({ code: 0, err: '' });
  expect(seen.out).toContain(`c   ${healthy}   epoch 4   2 partitions`);
  expect(seen.out).toMatch(/gateway-1 [^]*shard-2 .*7/);

  const url = await fakeGateway({
    ...least,
    partitions: [{ ready: true }, {}],
    degraded: true,
  });
  const degraded = await engram('status', '--url', url, '--json');
  expect(degraded.code).toBe(3);
  expect(JSON.parse(degraded.out)).toMatchObject({
    verdict: 'degraded',
    urls: [url],
    degraded: true,
  });

  const reasons = ['Redis does not answer'];
  const explained = await fakeGateway({ ...least, degraded: true, reasons });
  expect((await engram('status', '--url', explained)).err).toContain('Redis does not answer');

  const copies = await fakeGateway({
    ...least,
    partitionCount: 1,
    replication: 2,
    members: [
      { id: 'shard-1', role: 'shard', replication: 2 },
      { id: 'shard-2', role: 'shard', replication: 1 },
    ],
    partitions: [{ ready: true, owners: ['shard-1', 'shard-2'], readyOwners: 1 }],
  });
  const differing = await engram('status', '--url', copies);
  expect(differing.out).toContain('replication 2, 1 of 2 copies ready');
  expect(differing.err).toContain('ENGRAM_REPLICATION differs: shard-2 has 1; 2, the most of any');

  const silent = await engram('status', '--url', 'http://127.0.0.1:1');
  expect(silent.code).toBe(1);
  expect(silent.err).toContain('cannot be reached');

  for (const text of ['nonsense', 'localhost:7700']) {
    const none = await engram('status', '--url', text);
    expect(none.code).toBe(2);
    expect(none.err).toContain(`${text} is not a URL, as http://127.0.0.1:7700 is`);
  }
});

test('down ends what a killed supervisor left', async () => {
  const data = scratch();
  const supervisor = fork(join(FIXTURES, 'supervisor.mjs'), [data, join(FIXTURES, 'service.mjs')]);
  onTestFinished(() => void supervisor.kill('SIGKILL'));
  await once(supervisor, 'message');
  const exited = once(supervisor, 'exit');
  supervisor.kill('SIGKILL');
  await exited;
  const down = await engram('down', '--data', data, '--json');
  expect(down.code).toBe(0);
  const { found, ended } = JSON.parse(down.out) as { found: string; ended: string[] };
  expect(found).toBe('leftovers');
  expect(ended).toEqual(expect.arrayContaining(['redis', 'nats']));
});

test('up names the port that is in use and the folder that it cannot write', async () => {
  const { port } = new URL(await fakeGateway({}));
  const inUse = await engram('up', '--no-demo', '--port', port, '--data', scratch());
  expect(inUse).toMatchObject({ code: 1, out: '' });
  expect(inUse.err).toContain(`port ${port} is in use by another program\n  choose another with`);

  const file = join(scratch(), 'file');
  writeFileSync(file, '');
  for (const mode of [[], ['--detach']]) {
    const unusable = await engram('up', '--no-demo', '--data', join(file, 'x'), ...mode);
    expect(unusable).toMatchObject({ code: 1, out: '' });
    expect(unusable.err).toContain(`the data folder ${join(file, 'x')} cannot be written`);
  }
});

test('up runs until it is asked to stop, and a second up only tells of it', async () => {
  const data = scratch();
  const args = ['--no-demo', '--port', '0', '--data', data];
  const up = spawn(process.execPath, [MAIN, 'up', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void up.kill('SIGKILL'));
  let out = '';
  const ready = new Promise<void>((resolve) => {
    up.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.includes('Stop it with: Ctrl-C')) resolve();
    });
  });
  await ready;
  for (const label of ['nats', 'redis', 'shards', 'gateway', 'log', 'ready'])
    expect(out).toContain(`✔ ${label}`);
  const second = await engram('up', ...args);
  expect(second.code).toBe(0);
  expect(second.err).toContain(`a cluster runs on ${data} already`);
  const exited = once(up, 'exit');
  // A terminal and npm both deliver the same Ctrl-C.
  up.kill('SIGINT');
  up.kill('SIGINT');
  expect(await exited).toEqual([0, null]);
  expect(out).toContain(`the data stays in ${data}`);
  expect((await engram('status', '--data', data)).code).toBe(1);
});

test('up in the background answers when it is ready, and down ends it', async () => {
  const data = scratch();
  const args = ['--detach', '--no-demo', '--json', '--port', '0', '--shards', '1', '--data', data];
  const up = await engram('up', ...args);
  expect(up).toMatchObject({ code: 0, err: '' });
  const { url, shards } = JSON.parse(up.out) as { url: string; shards: string[] };
  expect(shards).toHaveLength(1);
  expect((await fetch(`${url}/v1/cluster`)).status).toBe(200);
  expect((await engram('status', '--data', data)).out).toContain(url);
  expect(readFileSync(join(data, 'up.log'), 'utf8')).toContain('✔ ready');
  const down = await engram('down', '--data', data, '--json');
  expect(JSON.parse(down.out)).toEqual({
    found: 'cluster',
    ended: ['gateway-1', 'shard-1', 'redis', 'nats'],
  });
});
