import { expect, test } from 'vitest';
import { unreadyReason, type ShardState } from '../src/serve/readiness.ts';

const READY: ShardState = {
  isLogConnected: true,
  leaseAgeMs: 500,
  leaseTtlMs: 3_000,
  isExpelled: false,
  owned: 21,
  held: 21,
  ready: 1,
};

test('a shard is ready with one partition that it answers for, or with none to answer for', () => {
  expect(unreadyReason(READY)).toBeUndefined();
  expect(unreadyReason({ ...READY, isExpelled: true })).toBeUndefined();
  expect(unreadyReason({ ...READY, owned: 0, held: 0, ready: 0 })).toBeUndefined();
  // The partitions of a move go one by one.
  expect(unreadyReason({ ...READY, owned: 0, held: 3, ready: 3 })).toBeUndefined();
});

test.each<[Partial<ShardState>, string]>([
  [{ isLogConnected: false }, 'NATS is away'],
  [{ leaseAgeMs: 3_001 }, 'the lease is over: Redis has not renewed it in time'],
  [{ ready: 0 }, 'none of 21 partitions is ready yet'],
  // It has heard of the ring, and not taken anything yet.
  [{ held: 0, ready: 0 }, 'none of 21 partitions is ready yet'],
  [{ isExpelled: true, ready: 0 }, 'the lease had run out, and none of 21 partitions is ready yet'],
])('%o is told as: %s', (change, reason) => {
  expect(unreadyReason({ ...READY, ...change })).toBe(reason);
});
