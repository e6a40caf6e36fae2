import type { LaneSignal, ShardSignal } from '@engram/admission';
import { perLane, type Lane, type MemberId } from '@engram/model';
import { expect, test } from 'vitest';
import { reasonsOf, type Seen } from '../src/http/reasons.ts';

const CALM: LaneSignal = {
  level: 'normal',
  cause: 'none',
  fill: 0,
  waiting: 0,
  lagMs: 0,
  drainRate: 1_000,
  lagMaxMs: 5_000,
  spaces: new Map(),
};

function shard(
  id: string,
  pressed: Partial<Record<Lane, Partial<LaneSignal>>> = {},
): Seen['shards'][number] {
  const lanes = perLane((lane) => ({ ...CALM, ...pressed[lane] }));
  const member = id as MemberId;
  const signal: ShardSignal = { member, startedAt: 1, count: 1, lanes };
  return { id: member, signal };
}

const WELL: Seen = { hasNats: true, hasRedis: true, unserved: 0, shards: [shard('shard-1')] };

test('a cluster that is well has no reasons, also where a shard says nothing', () => {
  expect(reasonsOf(WELL)).toEqual([]);
  expect(reasonsOf({ ...WELL, shards: [{ id: 'a' as MemberId, signal: undefined }] })).toEqual([]);
  const busy = shard('shard-1', { low: { level: 'critical', cause: 'lag' } });
  expect(reasonsOf({ ...WELL, shards: [busy] })).toEqual([]);
});

test('overloaded and stalled lanes are named with their shard and what waits', () => {
  const late = { level: 'overloaded', cause: 'lag', waiting: 12_000, lagMs: 12_340 } as const;
  const stalled = { level: 'overloaded', cause: 'stalled', waiting: 7 } as const;
  const short = { level: 'overloaded', cause: 'memory' } as const;
  expect(
    reasonsOf({
      ...WELL,
      unserved: 3,
      shards: [
        shard('shard-1', { normal: { ...late, lagMs: 9_000 }, low: late }),
        shard('shard-2', { high: stalled, normal: stalled, low: stalled }),
        shard('shard-3', { normal: late, low: short }),
      ],
    }),
  ).toEqual([
    'no shard serves 3 of the partitions yet',
    'shard-1 is overloaded in the lanes normal, low: what waits takes 12.3 s',
    'shard-2 is stalled in the lanes high, normal, low: 21 observations wait and none is applied',
    'shard-3 is overloaded in the lane normal: what waits takes 12.3 s',
    'shard-3 is overloaded in the lane low: it is short of memory',
  ]);
});

test('a log without room is a reason before it refuses all', () => {
  expect(reasonsOf({ ...WELL, logFill: 0.97 })).toEqual([]);
  expect(reasonsOf({ ...WELL, logFill: 0.98 })).toEqual([
    'the log is full: nothing but deletes can be written',
  ]);
});

test('a shard that cannot store what it has is named with what keeps it from that', () => {
  const full = { ...shard('shard-1'), storageFault: { message: 'ENOSPC: no space', forMs: 4_000 } };
  expect(reasonsOf({ ...WELL, shards: [full] })).toEqual([
    expect.stringMatching(/^shard-1 cannot store what it has: ENOSPC: no space/),
  ]);
});
