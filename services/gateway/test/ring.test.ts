import type { ReplayState, StatusReply } from '@engram/codec';
import type { ClusterView } from '@engram/membership';
import type { MemberId, PartitionId } from '@engram/model';
import { assign } from '@engram/ring';
import { expect, test } from 'vitest';
import { ringOf } from '../src/http/ring.ts';

const PARTITIONS = 8;

interface Shard {
  readonly state?: 'active' | 'leaving';
  readonly ready: readonly number[];
}

function viewOf(shards: Readonly<Record<string, Shard>>, replication: number): ClusterView {
  const members = new Map(
    Object.entries(shards).map(([name, { state = 'active', ready }]) => {
      const id = name as MemberId;
      const url = `http://${name}`;
      const record = { id, role: 'shard', incarnation: '1', state, url, replication } as const;
      return [id, { ...record, startedAt: '', ready: new Set(ready as PartitionId[]) }];
    }),
  );
  const active = [...members.values()].filter(({ state }) => state === 'active');
  return { epoch: 3, members, shards: active.map(({ id }) => id), replication };
}

function ring(
  shards: Readonly<Record<string, Shard>>,
  statuses: Readonly<Record<string, Partial<StatusReply>>>,
  replication = 1,
) {
  const view = viewOf(shards, replication);
  const told = Object.entries(statuses).map(
    ([id, status]) => [id as MemberId, { held: [], lag: {}, ...status } as StatusReply] as const,
  );
  return ringOf('c', view, assign(view.shards, PARTITIONS, replication), new Map(told));
}

const ALL = Array.from({ length: PARTITIONS }, (_, p) => p);
const replay = (state: Partial<ReplayState>): ReplayState => ({
  partitions: ALL,
  start: 100,
  at: 100,
  until: 300,
  pending: 0,
  elapsedMs: 1_000,
  ...state,
});

test('nothing moves where all owners are ready', () => {
  const { moves, members, partitions } = ring({ a: { ready: ALL } }, { a: { held: ALL } });
  expect(moves).toEqual([]);
  expect(members).toMatchObject([{ id: 'a', owned: 8, ready: 8, held: 8, lag: 0 }]);
  expect(partitions[5]).toEqual({ partition: 5, owners: ['a'], ready: ['a'] });
});

test('a move names who gives and takes, how far it is, and what is left by the pace so far', () => {
  const shards = { a: { state: 'leaving', ready: ALL }, b: { ready: [] } } as const;
  const of = (status: Partial<StatusReply>) => ring(shards, { b: status }).moves[2];
  const move = { partition: 2, from: 'a', to: 'b' };
  const reading = { held: ALL, replays: [replay({ at: 150 })] };
  expect(of(reading)).toEqual({ ...move, percent: 25, leftMs: 3_000 });
  expect(of({ held: ALL, replays: [replay({})] })).toEqual({ ...move, percent: 0, leftMs: null });
  const beyond = { held: ALL, replays: [replay({ at: 999 })] };
  expect(of(beyond)).toEqual({ ...move, percent: 100, leftMs: 0 });
  expect(of({ held: ALL, replays: [replay({ until: 100 })] })).toMatchObject({ percent: 100 });
  // A checkpoint is restored, an older version, and no answer.
  for (const status of [{ held: ALL, replays: [] }, { held: ALL }, {}])
    expect(of(status)).toEqual({ ...move, percent: null, leftMs: null });
  expect(ring(shards, {}).moves).toHaveLength(PARTITIONS);
});

test('a copy more comes from nobody', () => {
  const { moves } = ring({ a: { ready: ALL }, b: { ready: [0] } }, {}, 2);
  expect(moves).toHaveLength(PARTITIONS - 1);
  expect(moves.every(({ from, to }) => from === null && to === 'b')).toBe(true);
});
