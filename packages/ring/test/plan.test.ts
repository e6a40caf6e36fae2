import type { MemberId, PartitionId } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assign } from '../src/assignment.ts';
import { planMoves } from '../src/plan.ts';

const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), {
  minLength: 1,
}) as fc.Arbitrary<MemberId[]>;
const replications = fc.constantFrom(1, 2, 3);

test('a plan names each copy that somebody has to read once, and the loads before and after', () => {
  fc.assert(
    fc.property(names, names, replications, replications, (one, other, r1, r2) => {
      const before = assign(one, 32, r1);
      const after = assign(other, 32, r2);
      const plan = planMoves(
        { shards: one, replication: r1 },
        { shards: other, replication: r2 },
        32,
      );
      const planned = plan.moves
        .flatMap(({ to, partitions }) => partitions.map((p) => `${p} ${to}`))
        .sort();
      const expected = Array.from({ length: 32 }, (_, p) => p as PartitionId)
        .flatMap((p) =>
          after
            .owners(p)
            .filter((id) => !before.owners(p).includes(id))
            .map((id) => `${p} ${id}`),
        )
        .sort();
      expect(planned).toEqual(expected);
      expect(plan.moving).toBe(expected.length);
      for (const { from, partitions } of plan.moves)
        if (from !== null)
          for (const p of partitions) {
            expect(before.owners(p)).toContain(from);
            expect(after.owners(p)).not.toContain(from);
          }
      for (const { id, before: had, after: has } of plan.loads)
        expect([had, has]).toEqual([before.partitionsOf(id).length, after.partitionsOf(id).length]);
    }),
  );
});

test('who leaves is planned to be replaced, and where copies cannot be nothing is ideal', () => {
  const placed = (shards: string[], replication: number) => ({
    shards: shards as MemberId[],
    replication,
  });
  expect(planMoves(placed(['a', 'b', 'c', 'd'], 2), placed(['a', 'b', 'c'], 2), 64).ideal).toBe(32);
  expect(planMoves(placed(['a', 'b'], 2), placed(['a'], 2), 64)).toMatchObject({
    moving: 0,
    ideal: 0,
    moves: [],
  });
  expect(planMoves(placed(['a'], 2), placed(['a', 'b'], 2), 64)).toMatchObject({
    moving: 64,
    ideal: 64,
    moves: [{ from: null, to: 'b' }],
  });
});
