import { expect, test } from 'vitest';
import { fitted } from '../src/capacity/fit.ts';

test('what follows a rule exactly gives the rule', () => {
  const measurements = [
    [20, 100],
    [80, 100],
    [20, 384],
    [80, 768],
  ].map(([batch, dimension]) => ({
    factors: [1, batch!, batch! * dimension!],
    value: 300 + 2 * batch! + 0.01 * batch! * dimension!,
  }));
  const [fixed, each, byte] = fitted(measurements);
  expect(fixed).toBeCloseTo(300, 4);
  expect(each).toBeCloseTo(2, 5);
  expect(byte).toBeCloseTo(0.01, 7);
});

test('no cost is negative, whatever was measured', () => {
  const solution = fitted([
    { factors: [1, 1], value: 10 },
    { factors: [1, 2], value: 9 },
    { factors: [1, 3], value: 8 },
  ]);
  expect(solution[1]).toBe(0);
  expect(solution[0]).toBeGreaterThan(8);
  expect(fitted([{ factors: [1, 100], value: 250 }])[1]).toBeGreaterThanOrEqual(0);
});

test('nothing measured costs nothing', () => {
  expect(fitted([])).toEqual([]);
  expect(fitted([{ factors: [1, 5], value: 0 }])).toEqual([0, 0]);
});
