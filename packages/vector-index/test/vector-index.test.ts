import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GRAPH_ENGINES } from '../src/engines.ts';
import { publicScore } from '../src/score.ts';
import { TopK } from '../src/top-k.ts';
import { describeGraphConformance } from './conformance.ts';

for (const [name, factory] of Object.entries(GRAPH_ENGINES))
  describeGraphConformance(name, factory);

test('the k best scores are kept, best first', () => {
  const scores = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 60 });
  fc.assert(
    fc.property(scores, fc.integer({ min: 1, max: 12 }), (given, k) => {
      const best = new TopK(k);
      given.forEach((score, row) => best.offer(row, score));
      const drained = best.drain();
      expect(drained.map(({ score }) => score)).toEqual(
        given.toSorted((a, b) => b - a).slice(0, k),
      );
      for (const { row, score } of drained) expect(given[row]).toBe(score);
      expect(new Set(drained.map(({ row }) => row)).size).toBe(drained.length);
    }),
  );
});

test('an l2 score is a distance and never NaN', () => {
  expect([publicScore('l2', -9), publicScore('l2', 1e-9), publicScore('ip', -9)]).toEqual([
    3, 0, -9,
  ]);
});
