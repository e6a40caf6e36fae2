import type { ClusterMember, ClusterStatus, DeadLetter } from '@engram/client';
import {
  checkCluster,
  checkDeadLetters,
  checkGatewayClock,
  verdictOf,
  type Check,
  type Pressure,
} from '@engram/diagnosis';
import type { MemberState } from '@engram/local-cluster';
import { perLane } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { doctorCommand } from '../src/commands/doctor.ts';
import { fakeCluster } from './fake-cluster.ts';
import { runCommand } from './run-command.ts';

const GIB = 1024 ** 3;

function pressed(level: string, cause: string): Pressure {
  return perLane((lane) => ({
    ...(lane === 'low' ? { level, cause } : { level: 'normal', cause: 'none' }),
    waiting: 0,
    lagMs: 0,
    drainRate: 0,
  }));
}

const SHARD: ClusterMember = {
  id: 'shard-1',
  role: 'shard',
  answers: true,
  replication: 1,
  memory: 'normal',
  privateBytes: GIB,
  pressure: pressed('normal', 'none'),
  clockSkewMs: 3,
};

const WELL: ClusterStatus = {
  cluster: 'engram',
  time: '2026-01-01T00:00:00.000Z',
  epoch: 2,
  membershipAgeMs: 20,
  nats: { connected: true, version: '2.10.27', logBytes: GIB, logBytesMax: 4 * GIB },
  redis: { connected: true, version: '7.0.15' },
  partitionCount: 2,
  replication: 1,
  members: [{ id: 'gateway-1', role: 'gateway', replication: 1 }, SHARD],
  partitions: [0, 1].map((partition) => ({
    partition,
    owners: ['shard-1'],
    ready: true,
    readyOwners: 1,
  })),
  degraded: false,
};

const withShard = (changes: Partial<ClusterMember>): ClusterStatus => ({
  ...WELL,
  members: [{ ...SHARD, ...changes }],
});

function troubles(status: ClusterStatus): Check[] {
  return checkCluster(status, { command: 'engram' }).filter(({ state }) => state !== 'ok');
}

test('a cluster that is well has a line for each check and no trouble', () => {
  const checks = checkCluster(WELL, { command: 'engram' });
  expect(verdictOf(checks)).toBe('ok');
  expect(checks.map(({ name }) => name)).toEqual(
    'nats redis shards settings partitions pressure memory storage log'.split(' '),
  );
});

describe('trouble is found, with what to do about it', () => {
  test.each<[string, ClusterStatus, string, Check['state'], RegExp]>([
    ['NATS is away', { ...WELL, nats: { connected: false } }, 'nats', 'failure', /NATS/],
    ['Redis is away', { ...WELL, redis: { connected: false } }, 'redis', 'failure', /Redis/],
    ['Redis is silent', { ...WELL, membershipAgeMs: 60_000 }, 'redis', 'failure', /Redis/],
    ['no shard', { ...WELL, members: [] }, 'shards', 'failure', /none/],
    ['a silent shard', withShard({ answers: false }), 'shards', 'failure', /shard-1/],
    ['another setting', withShard({ replication: 2 }), 'settings', 'warning', /shard-1 has 2/],
    [
      'too few shards',
      { ...withShard({ replication: 2 }), replication: 2 },
      'settings',
      'warning',
      /2 copies/,
    ],
    [
      'stalled',
      withShard({ pressure: pressed('overloaded', 'stalled') }),
      'pressure',
      'failure',
      /low stalled/,
    ],
    [
      'overloaded',
      withShard({ pressure: pressed('overloaded', 'lag') }),
      'pressure',
      'failure',
      /low overloaded/,
    ],
    [
      'nearly',
      withShard({ pressure: pressed('critical', 'lag') }),
      'pressure',
      'warning',
      /low critical/,
    ],
    ['short of memory', withShard({ memory: 'soft' }), 'memory', 'warning', /1\.0 GiB/],
    ['out of memory', withShard({ memory: 'hard' }), 'memory', 'failure', /its limit/],
    ['a wrong clock', withShard({ clockSkewMs: -9_500 }), 'clock', 'warning', /9\.5 s behind/],
    [
      'a full disk',
      withShard({ storageFault: { message: 'ENOSPC: no space left', forMs: 61_000 } }),
      'storage',
      'failure',
      /shard-1 cannot store what it has, for 61\.0 s: ENOSPC/,
    ],
    [
      'a full log',
      { ...WELL, nats: { connected: true, logBytes: 3.9 * GIB, logBytesMax: 4 * GIB } },
      'log',
      'failure',
      /98 %/,
    ],
    [
      'a filling log',
      { ...WELL, nats: { connected: true, logBytes: 3 * GIB, logBytesMax: 4 * GIB } },
      'log',
      'warning',
      /75 %/,
    ],
    [
      'partitions without a shard',
      { ...WELL, partitions: [{ partition: 7, owners: [], ready: false, readyOwners: 0 }] },
      'partitions',
      'failure',
      /no shard answers for 7/,
    ],
    [
      'copies that are not ready',
      { ...WELL, partitions: [{ partition: 7, owners: ['a', 'b'], ready: true, readyOwners: 1 }] },
      'partitions',
      'warning',
      /1 copy not ready/,
    ],
  ])('%s', (_what, status, name, state, found) => {
    const all = troubles(status);
    expect(all.map((check) => [check.name, check.state])).toEqual([[name, state]]);
    expect(all[0]?.found).toMatch(found);
    expect(all[0]?.advice).toBeTruthy();
  });

  test('a process of this machine that the cluster does not hear of, also where it is the only shard', () => {
    const silent: MemberState = {
      id: 'shard-2',
      role: 'shard',
      pid: 4711,
      startedAt: '1',
      url: 'x',
    };
    const expected = [
      'processes',
      'failure',
      'shard-2 runs (pid 4711), and the cluster does not hear of it',
    ];
    for (const status of [WELL, { ...WELL, members: WELL.members.slice(0, 1) }]) {
      const trouble = checkCluster(status, { command: 'engram', silent: [silent] }).filter(
        ({ state }) => state !== 'ok',
      );
      expect(trouble.map(({ name, state, found }) => [name, state, found])).toEqual([expected]);
    }
  });

  test('a full log behind a full disk is the matter of the disk', () => {
    const storageFault = { message: 'ENOSPC', forMs: 1 };
    const nats = { connected: true, logBytes: 4 * GIB, logBytesMax: 4 * GIB };
    const found = troubles({ ...withShard({ storageFault }), nats });
    expect(found.map(({ name }) => name)).toEqual(['storage', 'log']);
    expect(found[1]?.advice).toMatch(/^mend the storage of shard-1 first/);
  });

  test('a gateway with another time, and dead letters', () => {
    const noon = Date.parse(WELL.time!);
    expect(checkGatewayClock(WELL, noon + 100)).toMatchObject([{ state: 'ok' }]);
    expect(checkGatewayClock(WELL, noon - 60_000)).toMatchObject([
      { state: 'warning', found: 'the gateway is 60.0 s ahead of this machine' },
    ]);
    const letter = { reason: 'SPACE_NOT_FOUND', space: 'notes' } as DeadLetter;
    expect(checkDeadLetters([], 2, 'engram')).toMatchObject({ state: 'ok' });
    expect(checkDeadLetters([letter], 2, 'engram')).toMatchObject({
      state: 'warning',
      found: '1, the newest: SPACE_NOT_FOUND in notes',
    });
    expect(checkDeadLetters([letter, letter], 2, 'engram').found).toMatch(/^2 or more/);
  });
});

test.each([401, 403] as const)(
  'a gateway that answers %i is there: doctor asks for a key, and not to bring one up',
  async (denied) => {
    await using cluster = await fakeCluster({ denied });
    const ran = await runCommand(doctorCommand(), ['--url', cluster.url, '--json']);
    expect(ran.code).toBe(1);
    const { checks } = JSON.parse(ran.out) as { checks: Check[] };
    expect(checks).toMatchObject([
      { name: 'node' },
      { name: 'gateway', state: 'failure', found: expect.stringContaining('is there') as string },
      { name: 'ready', state: 'ok' },
    ]);
    expect(checks[1]?.advice).toMatch(/key with the scope \*:admin, with --api-key-file/);
  },
);

test('without a gateway that is the failure, and the exit code is 1', async () => {
  const { url, [Symbol.asyncDispose]: close } = await fakeCluster();
  await close();
  const ran = await runCommand(doctorCommand(), ['--url', url, '--json']);
  expect(ran.code).toBe(1);
  const { verdict, checks } = JSON.parse(ran.out) as { verdict: string; checks: Check[] };
  expect([verdict, checks.map(({ name }) => name)]).toEqual(['failure', ['node', 'gateway']]);
});
