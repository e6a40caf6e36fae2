import { encodeSignal } from '@engram/admission';
import { perLane, type MemberId } from '@engram/model';
import { expect, test } from 'vitest';
import { SignalBoard } from '../src/admission/signal-board.ts';

const TTL_MS = 3_000;
const one = 'shard-1' as MemberId;

function said(member: MemberId, count: number, startedAt = 1): string {
  const lane = {
    level: 'normal',
    cause: 'none',
    fill: 0,
    waiting: count,
    lagMs: 0,
    drainRate: 1,
    lagMaxMs: 1,
    spaces: new Map(),
  } as const;
  return encodeSignal({ member, startedAt, count, lanes: perLane(() => lane) });
}

async function boardAt(clock: { nowMs: number }) {
  return SignalBoard.start({
    ttlMs: TTL_MS,
    shards: () => [one],
    store: { read: () => Promise.resolve([]) },
    clock: {
      now: () => clock.nowMs,
      wallNow: () => clock.nowMs,
      sleep: (_ms, signal) =>
        new Promise((resolve) => signal?.addEventListener('abort', () => resolve())),
    },
    logger: { warn: () => undefined, debug: () => undefined } as never,
  });
}

test('what a shard said last counts, for as long as it may', async () => {
  const clock = { nowMs: 0 };
  await using board = await boardAt(clock);
  board.take(said(one, 2));
  board.take(said(one, 1)); // came late
  expect(board.of(one)?.count).toBe(2);
  clock.nowMs = TTL_MS;
  expect(board.of(one)?.count).toBe(2);
  clock.nowMs++;
  expect(board.of(one)).toBeUndefined();
});

test('one signal with a number beyond all others does not silence its shard for good', async () => {
  const clock = { nowMs: 0 };
  await using board = await boardAt(clock);
  board.take(said(one, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER));
  board.take(said(one, 7));
  expect(board.of(one)?.count).toBe(Number.MAX_SAFE_INTEGER);
  clock.nowMs = TTL_MS + 1;
  board.take(said(one, 8));
  expect(board.of(one)?.count).toBe(8);
});

test('a shard is heard before it is seen to join, and strangers fill no memory', async () => {
  await using board = await boardAt({ nowMs: 0 });
  board.take(said('shard-2' as MemberId, 1));
  expect(board.of('shard-2' as MemberId)?.count).toBe(1);
  for (let i = 0; i < 2_000; i++) board.take(said(`stranger-${i}` as MemberId, 1));
  expect(board.of('stranger-1999' as MemberId)).toBeUndefined();
  board.take(said(one, 1));
  expect(board.of(one)?.count).toBe(1);
});

test('nothing is kept of what is no number, or of a megabyte', async () => {
  await using board = await boardAt({ nowMs: 0 });
  board.take(said(one, 1, 1e300));
  board.take(said(one, 1).padEnd(1e6));
  expect(board.of(one)).toBeUndefined();
});
