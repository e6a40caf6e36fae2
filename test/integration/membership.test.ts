import { startRedisServer, type ServerProcess } from '@engram/local-cluster';
import { Membership, type Role } from '@engram/membership';
import { parseMemberId, type PartitionId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { identityOf } from '@engram/runtime/process-identity';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TcpProxy } from '../support/faults/tcp-proxy.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const logger = createLogger('test', 'test', 'silent');
const LEASE_TTL_MS = 1_000;

const replaced: string[] = [];
let folder: Awaited<ReturnType<typeof tempDir>>;
let redis: ServerProcess;

beforeAll(async () => {
  folder = await tempDir();
  redis = await startRedisServer({ dataDir: folder.path });
});

afterAll(async () => {
  await redis.close();
  await folder[Symbol.asyncDispose]();
});

function join(
  cluster: string,
  id: string,
  role: Role = 'shard',
  leaseTtlMs = LEASE_TTL_MS,
  url = redis.url,
): Promise<Membership> {
  return Membership.start(
    {
      redis: { url },
      cluster,
      self: { id: parseMemberId(id), role, replication: 1 },
      heartbeatMs: 100,
      leaseTtlMs,
      connectTimeoutMs: 5_000,
      onReplaced: ({ code }) => replaced.push(code),
      clock: systemClock,
      logger,
    },
    'http://127.0.0.1:1',
  );
}

/** One command in the server's inline form. */
async function command(line: string): Promise<void> {
  const socket = connect(redis.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`${line}\r\n`);
  await once(socket, 'data');
  socket.destroy();
}

test('members see each other come and go, and the epoch rises each time', async () => {
  await using first = await join('come-and-go', 'shard-1');
  const epochs = [first.view.epoch];
  const second = await join('come-and-go', 'shard-2');
  await until('the first sees the second', () => first.view.shards.length === 2);
  epochs.push(first.view.epoch);
  await second.close();
  await until('the first sees it leave', () => first.view.shards.length === 1);
  epochs.push(first.view.epoch);
  expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
});

test('a gateway is a member but owns nothing', async () => {
  await using shard = await join('roles', 'shard-1');
  await using gateway = await join('roles', 'gateway-1', 'gateway');
  await until('both know both', () => shard.view.members.size === 2);
  expect(gateway.view.shards).toEqual(['shard-1']);
});

test('readiness is told to everybody at once', async () => {
  await using first = await join('ready', 'shard-1');
  await using second = await join('ready', 'shard-2');
  first.setReady(new Set([0, 5, 63] as PartitionId[]));
  const ready = await until('the second knows', () => {
    const known = second.view.members.get(parseMemberId('shard-1'))?.ready;
    return known?.size === 3 ? known : undefined;
  });
  expect([...ready]).toEqual([0, 5, 63]);
});

test('a leaving shard stays a member and leaves the ring', async () => {
  await using first = await join('leaving', 'shard-1');
  await using second = await join('leaving', 'shard-2');
  await until('both are in', () => first.view.shards.length === 2);
  second.setLeaving();
  await until('the ring is without it', () => first.view.shards.length === 1);
  expect(first.view.members.size).toBe(2);
});

test('a second process under the same id is refused, and the first goes on', async () => {
  await using first = await join('taken', 'shard-1');
  await expect(join('taken', 'shard-1')).rejects.toMatchObject({ code: 'MEMBER_ID_TAKEN' });
  expect(first.view.shards).toEqual(['shard-1']);
});

test('the place of a process that is dead is free at once, and others see a new epoch', async () => {
  const leaseTtlMs = 600_000; // nobody waits for that
  await using other = await join('dead', 'shard-2', 'shard', leaseTtlMs);
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(child, 'spawn');
  const alive = { ...identityOf(child.pid!), pids: readlinkSync('/proc/self/ns/pid') };
  const incarnation = 'of a dead one';
  const record = {
    role: 'shard',
    state: 'active',
    incarnation,
    url: 'x',
    startedAt: 'x',
    ready: '0',
  };
  const text = JSON.stringify({ ...record, process: alive });
  await command(`HSET engram:{dead}:records shard-1 ${JSON.stringify(text)}`);
  await command(`ZADD engram:{dead}:leases ${Date.now() + leaseTtlMs} shard-1`);
  const { epoch } = await until('it is a member', () => {
    const { view } = other;
    return view.members.get(parseMemberId('shard-1'))?.incarnation === incarnation && view;
  });
  let isIn = false;
  const joining = join('dead', 'shard-1', 'shard', leaseTtlMs).finally(() => (isIn = true));
  await until('another heartbeat of the other', () => other.ageMs < 50);
  expect(isIn).toBe(false);
  child.kill('SIGKILL');
  await using shard = await joining;
  expect(shard.view.epoch).toBeGreaterThan(epoch);
  expect(shard.view.shards).toEqual(['shard-1', 'shard-2']);
});

test('a record without a lease is no member', async () => {
  await using shard = await join('ghost', 'shard-1');
  const record = JSON.stringify(JSON.stringify({ role: 'shard', state: 'active', ready: '0' }));
  await command(`HSET engram:{ghost}:records ghost ${record}`);
  await using other = await join('ghost', 'shard-2');
  await until('both are in', () => shard.view.shards.length === 2);
  expect([...other.view.members.keys()].sort()).toEqual(['shard-1', 'shard-2']);
});

test('an emptied registry takes nobody out of the ring, and the epoch never falls', async () => {
  await using first = await join('emptied', 'shard-1');
  await using second = await join('emptied', 'shard-2');
  await until(
    'both are in',
    () => first.view.shards.length === 2 && second.view.shards.length === 2,
  );
  const seen: { epoch: number; shards: number }[] = [];
  first.onView(({ epoch, shards }) => seen.push({ epoch, shards: shards.length }));
  const before = first.view.epoch;
  await command('FLUSHALL');
  await until('the registry was written anew', () => first.view.epoch > before);
  await until('both are back', () => second.view.epoch === first.view.epoch);
  expect(seen.every(({ shards }) => shards === 2)).toBe(true);
  expect(seen.map(({ epoch }) => epoch)).toEqual(
    [...seen.map(({ epoch }) => epoch)].sort((a, b) => a - b),
  );
});

test('a member that was silent while others went on learns that it was expelled', async () => {
  await using first = await join('expelled', 'shard-1');
  await using second = await join('expelled', 'shard-2');
  await until('both are in', () => second.view.shards.length === 2);
  let expelled = 0;
  first.onExpelled(() => expelled++);
  // As if its lease had run out while it was paused.
  await command('ZADD engram:{expelled}:leases 1 shard-1');
  await until('it is told', () => expelled === 1);
  await until('it is in again', () => second.view.shards.length === 2);
  expect(expelled).toBe(1);
});

test('a member whose id another process has taken over is told to end', async () => {
  await using first = await join('replaced', 'shard-1');
  expect(first.view.shards).toEqual(['shard-1']);
  await command('HSET engram:{replaced}:records shard-1 "{\\"incarnation\\":\\"other\\"}"');
  await until('it is told', () => replaced.includes('MEMBER_ID_TAKEN'));
});

// Last, because it takes the server away from all the others.
test('symptom: a member whose way to Redis was lost without a word was away for a quarter of an hour', async () => {
  await using proxy = await TcpProxy.start(() => ({ host: '127.0.0.1', port: redis.port }));
  await using lost = await join('lost', 'b', 'shard', 1_000, `redis://127.0.0.1:${proxy.port}`);
  await using other = await join('lost', 'a');
  const heard: string[] = [];
  await lost.signals.listen((text) => heard.push(text));
  proxy.halfOpen(); // and never healed: only new connections get through
  await until('others go on without it', () => other.view.shards.length === 1);
  await until('it is there again', () => lost.isCurrent && other.view.shards.length === 2);
  await until('it hears what others say', async () => {
    await other.signals.publish(other.self.id, 'said', {});
    return heard.length > 0;
  });
});

test('while Redis is away the view stands, and afterwards life goes on', async () => {
  await using first = await join('away', 'shard-1');
  await using second = await join('away', 'shard-2');
  await until('both are in', () => first.view.shards.length === 2);
  const { port } = redis;
  redis.signal('SIGKILL');
  await redis.exited;
  await until('the outage is noticed', () => !first.isCurrent && !second.isCurrent);
  const seen = new Set<number>();
  for (const each of [first, second]) each.onView(({ shards }) => seen.add(shards.length));
  let expelled = 0;
  for (const each of [first, second]) each.onExpelled(() => expelled++);
  await until('the lease would have run out', () => first.ageMs > 2 * LEASE_TTL_MS);
  expect(first.view.shards).toEqual(['shard-1', 'shard-2']);
  redis = await startRedisServer({ dataDir: folder.path, port });
  await until('both are current again', () => first.isCurrent && second.isCurrent);
  expect(first.view.shards).toEqual(['shard-1', 'shard-2']);
  expect([[...seen], expelled]).toEqual([[2], 0]);
  await using third = await join('away', 'shard-3');
  await until('newcomers are seen', () => first.view.shards.length === 3);
  expect(third.view.shards).toHaveLength(3);
});
