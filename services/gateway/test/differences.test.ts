import { expect, test } from 'vitest';
import { Differences, Suspects } from '../src/verify/differences.ts';

test('the first hundred of a kind are listed, all are counted', () => {
  const differences = new Differences({ missing: 1, extra: 0, stale: 0 });
  for (let i = 0; i < 150; i++) differences.add({ id: `m${i}`, expected: i + 1 });
  differences.add({ id: 'e', found: 3 });
  differences.add({ id: 's', expected: 4, found: 3 });
  expect(differences.totals).toEqual({ missing: 151, extra: 1, stale: 1 });
  expect(differences.listed.missing).toHaveLength(100);
  expect(differences.listed.extra).toEqual([{ id: 'e', found: 3 }]);
  expect(differences.listed.stale).toEqual([{ id: 's', expected: 4, found: 3 }]);
  expect(differences.isEmpty).toBe(false);
  expect(new Differences({ missing: 0, extra: 0, stale: 0 }).isEmpty).toBe(true);
});

test('suspects beyond ten thousand are counted by kind', () => {
  const all = new Suspects();
  const suspects = new Suspects();
  for (let i = 0; i < 9_999; i++) suspects.add({ id: `m${i}`, expected: 1, head: 9 });
  all.take(suspects);
  expect(all.areAllSeen).toBe(true);
  const more = new Suspects();
  for (let i = 0; i < 3; i++) more.add({ id: `e${i}`, found: 1, head: 9 });
  more.twice.push({ id: 'twice', found: 2 });
  all.take(more);
  expect([all.byId.size, all.unseen.extra, all.areAllSeen]).toEqual([10_000, 2, false]);
  expect(all.twice).toEqual([{ id: 'twice', found: 2 }]);
});
