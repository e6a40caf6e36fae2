import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { estimateOf, outliersOf, ratioOf } from '../src/figures/statistics.ts';
import { compare, confirmed } from '../src/figures/verdict.ts';
import { seededRandom } from '@engram/capacity';

/** Samples of a normal distribution, the same for the same seed. */
function normal(count: number, mean: number, deviation: number, seed: number): number[] {
  const random = seededRandom(seed);
  const gauss = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: count }, () => mean + deviation * gauss());
}

const samples = fc.array(fc.double({ min: 1, max: 1e6, noNaN: true }), {
  minLength: 1,
  maxLength: 20,
});

describe('an estimate', () => {
  test('has its median within its interval, and the interval within the samples', () => {
    fc.assert(
      fc.property(samples, (values) => {
        const { median, low, high } = estimateOf(values);
        expect(low).toBeLessThanOrEqual(median);
        expect(high).toBeGreaterThanOrEqual(median);
        expect(low).toBeGreaterThanOrEqual(Math.min(...values));
        expect(high).toBeLessThanOrEqual(Math.max(...values));
        expect(estimateOf(values)).toEqual({ median, low, high });
      }),
      { numRuns: 30 },
    );
  });

  test('of 15 samples holds the true value in some nine of ten cases', () => {
    let held = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const { low, high } = estimateOf(normal(15, 100, 5, seed));
      if (low <= 100 && high >= 100) held++;
    }
    expect(held).toBeGreaterThanOrEqual(170);
    expect(held).toBeLessThan(200);
  });

  test('of a ratio is the ratio of the medians', () => {
    const { median, low, high } = ratioOf([3, 3, 3], [2, 2, 2]);
    expect([median, low, high]).toEqual([1.5, 1.5, 1.5]);
  });

  test('of nothing is an error', () => {
    expect(() => estimateOf([])).toThrow(RangeError);
    expect(() => ratioOf([1], [])).toThrow(RangeError);
  });
});

test('samples unlike the others are found, and none of those that are alike', () => {
  expect(outliersOf([10, 11, 10, 9, 10, 30, 11])).toEqual([5]);
  expect(outliersOf([10, 11, 10, 9, 10, 12, 11])).toEqual([]);
  expect(outliersOf([1])).toEqual([]);
});

describe('a verdict', () => {
  const figure = (values: readonly number[], better: 'higher' | 'lower' = 'higher') =>
    ({ name: 'inserts', unit: '×', better, samples: values }) as const;

  test('finds a tenth less, and says of what is better or worse', () => {
    const before = normal(15, 100, 3, 1);
    const slower = normal(15, 90, 3, 2);
    expect(compare(figure(slower), figure(before)).verdict).toBe('worse');
    expect(compare(figure(before), figure(slower)).verdict).toBe('better');
    expect(compare(figure(slower, 'lower'), figure(before, 'lower')).verdict).toBe('better');
  });

  test('is `same` for a change that is sure and too small to matter', () => {
    const before = normal(15, 100, 0.01, 3);
    const after = normal(15, 101, 0.01, 4);
    expect(compare(figure(after), figure(before)).verdict).toBe('same');
  });

  test('is `same` for samples of one thing in at least 19 of 20 cases', () => {
    let same = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const [left, right] = [normal(15, 100, 3, seed * 2), normal(15, 100, 3, seed * 2 + 1)];
      if (compare(figure(left), figure(right)).verdict === 'same') same++;
    }
    expect(same).toBeGreaterThanOrEqual(95);
  });

  test('is `same` for three repetitions, however unlike the others: chance makes one of ten so', () => {
    expect(compare(figure([90, 91, 92]), figure([100, 101, 102])).verdict).toBe('same');
    const [before, now] = [
      [100, 101, 102, 103, 104],
      [90, 91, 92, 93, 94],
    ];
    expect(compare(figure(now), figure(before)).verdict).toBe('worse');
  });

  test('of five repetitions is `same` for samples of one thing in some 19 of 20 cases', () => {
    let same = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const [left, right] = [normal(5, 100, 5, seed * 2), normal(5, 100, 5, seed * 2 + 1)];
      if (compare(figure(left), figure(right)).verdict === 'same') same++;
    }
    expect(same).toBeGreaterThanOrEqual(90);
  });

  test('knows of what was nothing that something is more', () => {
    const [none, some] = [
      [0, 0, 0, 0, 0],
      [1, 1, 1, 1, 1],
    ];
    expect(compare(figure(some, 'lower'), figure(none, 'lower')).verdict).toBe('worse');
    expect(compare(figure(some), figure(none)).verdict).toBe('better');
    expect(compare(figure(none), figure(none)).verdict).toBe('same');
    expect(compare(figure(none, 'lower'), figure(some, 'lower')).verdict).toBe('better');
  });

  test('finds a tenth less in nearly all cases', () => {
    let worse = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const [before, now] = [normal(15, 100, 3, seed * 2), normal(15, 90, 3, seed * 2 + 1)];
      if (compare(figure(now), figure(before)).verdict === 'worse') worse++;
    }
    expect(worse).toBeGreaterThanOrEqual(95);
  });

  test('is one of a second run, too, or there is no difference', () => {
    const before = figure(normal(9, 100, 2, 1));
    const worse = compare(figure(normal(9, 80, 2, 2)), before);
    const better = compare(figure(normal(9, 120, 2, 3)), before);
    const same = compare(figure(normal(9, 100, 2, 4)), before);
    expect([worse, better, same].map(({ verdict }) => verdict)).toEqual([
      'worse',
      'better',
      'same',
    ]);
    expect(confirmed([worse], [worse])).toEqual([worse]);
    for (const again of [[better], [same], []])
      expect(confirmed([worse], again)).toEqual([{ ...worse, verdict: 'same' }]);
    expect(confirmed([same], [worse])).toEqual([same]);
  });
});
