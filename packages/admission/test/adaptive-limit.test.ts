import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AdaptiveLimit } from '../src/adaptive-limit.ts';

const limit = () => new AdaptiveLimit({ least: 8, most: 200, first: 64, delayMaxMs: 50 });

describe('an adaptive limit', () => {
  test('finds how many at one time make the delay what it may be, from above and from below', () => {
    for (const delayEach of [1, 2, 4]) {
      const it = limit();
      for (let i = 0; i < 600; i++) it.note(it.value * delayEach, it.value, true);
      const expected = 50 / delayEach;
      expect(it.value).toBeGreaterThan(Math.max(8, expected * 0.8) - 0.1);
      expect(it.value).toBeLessThan(expected * 1.1 + 1);
    }
  });

  test('does not rise while it keeps nobody out, nor fall for what is not too long', () => {
    const it = limit();
    for (let i = 0; i < 100; i++) it.note(10, 1, false);
    for (let i = 0; i < 100; i++) it.note(50, 64, false);
    expect(it.value).toBe(64);
  });

  test('falls at once below what is under way, however high it was', () => {
    const it = limit();
    it.note(51, 20, false);
    expect(it.value).toBe(18);
  });

  test('stays within its ends, whatever comes (property)', () => {
    const step = fc.tuple(fc.nat(500), fc.nat(300), fc.boolean());
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const it = limit();
        for (const [delayMs, underWay, hasRefused] of steps) {
          const before = it.value;
          it.note(delayMs, underWay, hasRefused);
          expect(it.value).toBeGreaterThanOrEqual(8);
          expect(it.value).toBeLessThanOrEqual(200);
          if (delayMs > 50) expect(it.value).toBeLessThanOrEqual(before);
          else expect(it.value).toBeGreaterThanOrEqual(before);
        }
      }),
    );
  });
});
