import { expect, test } from 'vitest';
import { plot } from './plot.ts';

test('numbers become bars, with a gap where nothing was measured', () => {
  expect(plot([0, undefined, 4, 8])).toBe('▁ ▅█');
  expect(plot([0, 0])).toBe('▁▁');
  expect(plot([])).toBe('');
});

test('many numbers share columns, and a single peak stays visible', () => {
  const numbers = Array.from({ length: 1_000 }, (_, i) => (i === 500 ? 9 : 1));
  const line = plot(numbers);
  expect(line.length).toBeLessThanOrEqual(60);
  expect(line).toContain('█');
});
