import fc from 'fast-check';
import { expect, test } from 'vitest';
import { paretoFront, type Outcome } from '../src/pareto.ts';

const outcome = (rate: number, p99Ms: number, memoryBytes: number): Outcome => ({
  rate,
  p99Ms,
  memoryBytes,
});

test('what another one is better than in one respect and as good as in the others is not on the front', () => {
  const fast = outcome(100, 20, 10);
  const quick = outcome(50, 5, 10);
  const small = outcome(50, 20, 1);
  const worse = outcome(100, 21, 10);
  expect(paretoFront([fast, worse, quick, small])).toEqual([fast, quick, small]);
});

test('of equal ones all are on it', () => {
  const [one, other] = [outcome(1, 1, 1), outcome(1, 1, 1)];
  expect(paretoFront([one, other])).toEqual([one, other]);
});

test('whatever is not on the front has somebody there who beats it', () => {
  const some = fc.integer({ min: 1, max: 5 });
  const outcomes = fc.array(
    fc.tuple(some, some, some).map((values) => outcome(...values)),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(outcomes, (all) => {
      const front = paretoFront(all);
      expect(front.length).toBeGreaterThan(0);
      for (const each of all.filter((one) => !front.includes(one)))
        expect(
          front.some(
            (other) =>
              other.rate >= each.rate &&
              other.p99Ms <= each.p99Ms &&
              other.memoryBytes <= each.memoryBytes,
          ),
        ).toBe(true);
    }),
  );
});
