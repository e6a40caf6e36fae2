import { encodeSignal, type LaneSignal } from '@engram/admission';
import { perLane, type MemberId, type PartitionId, type SpaceId } from '@engram/model';
import { assign } from '@engram/ring';
import { expect, test } from 'vitest';
import { ShardSignals } from '../src/nats/shard-signals.ts';

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
const LATE: LaneSignal = { ...CALM, level: 'overloaded', cause: 'lag', lagMs: 9_000 };
const SPACE = 'notes' as SpaceId;
const SHARDS = ['shard-1', 'shard-2'] as MemberId[];

const said = (member: MemberId, low: LaneSignal, count = 1): string =>
  encodeSignal({ member, startedAt: 1, count, lanes: perLane((l) => (l === 'low' ? low : CALM)) });

test('only what an overloaded shard owns is refused, in the lanes that it closes, until it says otherwise', () => {
  const signals = new ShardSignals(64, () => 0);
  const partitions = Array.from({ length: 64 }, (_, partition) => partition as PartitionId);
  const refused = (lane: 'low' | 'normal') =>
    partitions.filter((partition) => signals.refusal(SPACE, partition, lane) !== undefined);
  expect(refused('low')).toEqual([]);
  signals.take('what is no signal');
  signals.take(said('shard-1' as MemberId, CALM));
  signals.take(said('shard-2' as MemberId, LATE));
  expect(refused('low')).toEqual(assign(SHARDS, 64).partitionsOf('shard-2' as MemberId));
  expect(refused('normal')).toEqual([]);
  const [first] = refused('low');
  expect(signals.refusal(SPACE, first!, 'low')).toMatchObject({
    code: 'BACKPRESSURE',
    retryAfterMs: 6_500,
    batchMax: 500,
  });
  signals.take(said('shard-2' as MemberId, CALM, 3));
  signals.take(said('shard-2' as MemberId, LATE, 2)); // came late
  expect(refused('low')).toEqual([]);
});

test('a space that crowds a lane is refused, and others are not', () => {
  const signals = new ShardSignals(1, () => 0);
  const spaces = new Map([[SPACE, { level: 'overloaded', waiting: 90, lagMs: 900 } as const]]);
  signals.take(said('shard-1' as MemberId, { ...CALM, spaces }));
  const refusal = (space: string) => signals.refusal(space as SpaceId, 0 as PartitionId, 'low');
  expect(refusal(SPACE)).toMatchObject({ code: 'BACKPRESSURE', scope: 'space' });
  expect(refusal('other')).toBeUndefined();
});
