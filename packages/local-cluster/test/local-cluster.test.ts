import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import type { ClusterEvent } from '../src/cluster-member.ts';
import { readClusterState, statePath } from '../src/cluster-state.ts';
import { readFolderRecord } from '../src/folder-record.ts';
import { LocalCluster, type LocalClusterOptions } from '../src/local-cluster.ts';
import { isRunning } from '@engram/runtime/process-identity';
import { stopCluster } from '../src/stop-cluster.ts';
import { FIXTURES, scratch, until } from './scratch.ts';

const SERVICE = FIXTURES.service;
const ENTRIES = { gateway: SERVICE, shard: SERVICE };

async function start(options: Partial<LocalClusterOptions> = {}): Promise<LocalCluster> {
  const cluster = await LocalCluster.start({
    dataDir: scratch(),
    shards: 1,
    gateways: 1,
    port: 0,
    entries: ENTRIES,
    ...options,
  });
  onTestFinished(() => cluster.close());
  return cluster;
}

test('a cluster starts, is described by its state file, grows, shrinks and ends', async () => {
  const cluster = await start({ gateways: 2, shards: 2, env: { ENGRAM_EXTRA: 'x' } });
  expect(cluster.gateways.map(({ id }) => id)).toEqual(['gateway-1', 'gateway-2']);
  const seen = (await (await fetch(cluster.url)).json()) as Record<string, string>;
  expect(seen).toMatchObject({
    ENGRAM_MEMBER_ID: 'gateway-1',
    ENGRAM_NATS_URL: cluster.nats.url,
    ENGRAM_REDIS_URL: cluster.redis.url,
    ENGRAM_PARTITIONS: '64',
    ENGRAM_EXTRA: 'x',
  });
  const added = await cluster.addShard();
  expect(added.id).toBe('shard-3');
  await cluster.removeShard('shard-1');
  const members = readClusterState(cluster.dataDir)?.members ?? [];
  expect(members.map(({ id }) => id).sort()).toEqual(
    ['gateway-1', 'gateway-2', 'nats', 'redis', 'shard-2', 'shard-3'].sort(),
  );
  expect(members.every(isRunning)).toBe(true);
  await cluster.close();
  expect(members.some(isRunning)).toBe(false);
  expect(existsSync(statePath(cluster.dataDir))).toBe(false);
});

test('a second supervisor is refused on the same data folder', async () => {
  const cluster = await start({ shards: 0, gateways: 0 });
  await expect(start({ dataDir: cluster.dataDir })).rejects.toMatchObject({
    fault: 'ALREADY_RUNNING',
  });
});

test('a member that dies is started again on its port, with an event for each', async () => {
  const events: ClusterEvent[] = [];
  const cluster = await start({ restart: true, onEvent: (event) => events.push(event) });
  for (const member of [...cluster.gateways, cluster.redis]) {
    const { port, pid } = member;
    member.signal('SIGKILL');
    await until(() => member.running && member.pid !== pid);
    expect(member.port).toBe(port);
    const kinds = events.filter(({ id }) => id === member.id).map(({ kind }) => kind);
    expect(kinds).toEqual(['started', 'exited', 'started']);
  }
  expect((await fetch(cluster.url)).status).toBe(200);
});

test('a member that died without restart can be started by hand', async () => {
  const cluster = await start({ gateways: 0 });
  const [shard] = cluster.shards;
  shard?.signal('SIGKILL');
  await shard?.exited;
  await until(() => shard?.running === false);
  await shard?.start();
  expect(shard?.running).toBe(true);
});

test('a data folder keeps its ports and its number of partitions', async () => {
  const none = { shards: 0, gateways: 0 };
  const first = await start({ ...none, partitionCount: 16 });
  const { dataDir } = first;
  const ports = [first.nats.port, first.redis.port];
  await first.close();
  await expect(start({ ...none, dataDir, partitionCount: 8 })).rejects.toMatchObject({
    fault: 'PARTITIONS_DIFFER',
    message: `the data folder ${dataDir} was made with 16 partitions, not with 8`,
  });
  const blocker = createServer().listen(ports[1], '127.0.0.1');
  await once(blocker, 'listening');
  onTestFinished(() => void blocker.close());
  const second = await start({ ...none, dataDir });
  expect(readClusterState(dataDir)?.partitionCount).toBe(16);
  expect(second.nats.port).toBe(ports[0]);
  expect(second.redis.port).not.toBe(ports[1]);
});

test('a data folder keeps that its cluster had keys, until somebody says that it has none', async () => {
  const none = { shards: 0, gateways: 0, dataDir: scratch() };
  for (const [given, kept] of [
    [{}, undefined],
    [{ wantsKeys: true }, true],
    [{}, true],
    [{ wantsKeys: false }, false],
  ] as const) {
    await (await start({ ...none, ...given })).close();
    expect(readFolderRecord(none.dataDir)?.wantsKeys).toBe(kept);
  }
});

test('a failed start ends what had started and frees the folder', async () => {
  const dataDir = scratch();
  const entries = { gateway: SERVICE, shard: FIXTURES.failing };
  await expect(start({ dataDir, entries })).rejects.toThrow('shard-1 ended with code 3');
  expect(existsSync(statePath(dataDir))).toBe(false);
  await start({ dataDir });
});

test('a start that is aborted ends what had started', async () => {
  const abort = new AbortController();
  const entries = { gateway: SERVICE, shard: FIXTURES.silent };
  const dataDir = scratch();
  const ended = expect(start({ dataDir, entries, signal: abort.signal })).rejects.toThrow();
  await until(
    () => readClusterState(dataDir)?.members.some(({ role }) => role === 'gateway') ?? false,
  );
  const { members = [] } = readClusterState(dataDir) ?? {};
  abort.abort();
  await ended;
  expect(members.some(isRunning)).toBe(false);
});

test('a port in use is named', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  await expect(start({ port })).rejects.toThrow(`port ${port} is in use by another program`);
});

test('what a killed supervisor left is ended by the next one on the folder', async () => {
  const dataDir = scratch();
  const supervisor = fork(FIXTURES.supervisor, [dataDir, SERVICE]);
  onTestFinished(() => void supervisor.kill('SIGKILL'));
  await once(supervisor, 'message');
  const { members = [] } = readClusterState(dataDir) ?? {};
  expect(members).toHaveLength(4);
  const exited = once(supervisor, 'exit');
  supervisor.kill('SIGKILL');
  await exited;
  const services = members.filter(({ role }) => role === 'gateway' || role === 'shard');
  await until(() => !services.some(isRunning)); // they see their channel close
  expect(members.filter(isRunning).map(({ id }) => id)).toEqual(['nats', 'redis']);
  await start({ dataDir, shards: 0, gateways: 0 });
  expect(members.some(isRunning)).toBe(false);
});

test('a cluster is stopped from outside through its supervisor', async () => {
  const dataDir = scratch();
  const supervisor = fork(FIXTURES.supervisor, [dataDir, SERVICE]);
  onTestFinished(() => void supervisor.kill('SIGKILL'));
  await once(supervisor, 'message');
  const { members = [] } = readClusterState(dataDir) ?? {};
  // This supervisor has no SIGTERM handler: its servers are left to whoever stops the cluster.
  const { found, ended } = await stopCluster(dataDir);
  expect(found).toBe('cluster');
  expect(ended.map(({ role }) => role)).toEqual(['gateway', 'shard', 'redis', 'nats']);
  expect(members.some(isRunning)).toBe(false);
  expect(await stopCluster(dataDir)).toEqual({ found: 'nothing', ended: [] });
  expect(await stopCluster(`${dataDir}/nowhere`)).toEqual({ found: 'nothing', ended: [] });
});
