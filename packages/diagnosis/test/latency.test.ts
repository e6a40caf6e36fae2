import { expect, test } from 'vitest';
import { quantileMs, together, type Latencies } from '../src/latency.ts';

const boundsS = [0.01, 0.1, 1];
const of = (...counts: number[]): Latencies => ({ boundsS, counts });

test('a quantile is where its share of the bucket is', () => {
  expect(quantileMs(0.5, of(100, 100, 100, 100))).toBeCloseTo(5);
  expect(quantileMs(0.75, of(50, 100, 100, 100))).toBeCloseTo(55);
  expect(quantileMs(0.99, of(0, 0, 0, 10))).toBe(1_000);
});

test('only what came between the two looks counts, and all of a histogram that began anew', () => {
  expect(quantileMs(0.5, of(100, 200, 200, 200), of(100, 100, 100, 100))).toBeCloseTo(55);
  expect(quantileMs(0.5, of(10, 10, 10, 10), of(0, 500, 500, 500))).toBeCloseTo(5);
  expect(quantileMs(0.5, of(7, 7, 7, 7), of(7, 7, 7, 7))).toBeUndefined();
  expect(quantileMs(0.5, of(0, 0, 0, 0))).toBeUndefined();
});

test('histograms add up', () => {
  expect(together([of(1, 2, 3, 4), of(1, 1, 1, 1)])).toEqual(of(2, 3, 4, 5));
  expect(together([])).toBeUndefined();
});
