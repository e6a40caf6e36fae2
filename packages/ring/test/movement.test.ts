import { createHash } from 'node:crypto';
import type { MemberId } from '@engram/model';
import { expect, test } from 'vitest';
import { planMoves } from '../src/plan.ts';

let made = 0;
/** The same ids in every run of the tests, and different ones in every set. */
const newId = () =>
  `shard-${createHash('sha1').update(`${made++}`).digest('hex').slice(0, 10)}` as MemberId;

/** What a join of one moves, against a share as large as everybody's, for one set of members. */
function shareMoved(n: number, partitionCount: number, replication: number): number {
  const shards = Array.from({ length: n + 1 }, newId);
  const before = { shards: shards.slice(1), replication };
  const plan = planMoves(before, { shards, replication }, partitionCount);
  expect(plan.ideal).toBeCloseTo((partitionCount * Math.min(replication, n + 1)) / (n + 1), 6);
  return plan.moving / plan.ideal;
}

test.each([
  { partitionCount: 64, copies: 1, runs: 30 },
  { partitionCount: 64, copies: 2, runs: 30 },
  { partitionCount: 64, copies: 3, runs: 30 },
  // Shares of more partitions vary less.
  { partitionCount: 256, copies: 1, runs: 10 },
  { partitionCount: 256, copies: 2, runs: 10 },
  { partitionCount: 256, copies: 3, runs: 10 },
])(
  'a join moves at most 1.3 of its ideal share on average, of $partitionCount partitions in $copies copies',
  ({ partitionCount, copies, runs }) => {
    for (let n = 3; n <= 10; n++) {
      const shares = Array.from({ length: runs }, () => shareMoved(n, partitionCount, copies));
      const mean = shares.reduce((sum, each) => sum + each, 0) / runs;
      expect(mean, `a join to ${n}`).toBeLessThanOrEqual(1.3);
      expect(Math.max(...shares), `the worst join to ${n}`).toBeLessThanOrEqual(3);
    }
  },
);

test('symptom: a join to seven moved a fifth more, because hashring gave everybody fewer points', () => {
  const runs = 20;
  const joins = Array.from({ length: runs }, () => shareMoved(7, 1_024, 1));
  expect(joins.reduce((sum, each) => sum + each, 0) / runs).toBeLessThan(1.12);
});
