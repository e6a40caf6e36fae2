import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isAtLeast,
  nextPressure,
  NO_PRESSURE,
  pressureOf,
  PRESSURES,
  type PressureState,
} from '../src/pressure.ts';

const GRACE_MS = 500;

describe('a level', () => {
  test.each([
    [0, 'normal'],
    [0.499, 'normal'],
    [0.5, 'warning'],
    [0.849, 'warning'],
    [0.85, 'critical'],
    [0.949, 'critical'],
    [0.95, 'overloaded'],
    [7, 'overloaded'],
    [NaN, 'overloaded'],
  ])('of a fill of %d is %s', (fill, level) => {
    expect(pressureOf(fill)).toBe(level);
  });

  test('goes up at once, from each to each', () => {
    const fills = { normal: 0, warning: 0.6, critical: 0.9, overloaded: 1 };
    for (const from of PRESSURES)
      for (const to of PRESSURES)
        if (isAtLeast(to, from))
          expect(nextPressure({ level: from }, fills[to], 0, GRACE_MS).level).toBe(to);
  });

  test('goes down after the grace, to the highest that was there meanwhile', () => {
    let state: PressureState = { level: 'overloaded' };
    const at = (ms: number, fill: number) =>
      (state = nextPressure(state, fill, ms, GRACE_MS)).level;
    expect(at(0, 0.2)).toBe('overloaded');
    expect(at(200, 0.6)).toBe('overloaded');
    expect(at(499, 0)).toBe('overloaded');
    expect(at(500, 0)).toBe('warning');
    expect(at(600, 0)).toBe('warning');
    expect(at(1_100, 0)).toBe('normal');
  });

  test('does not flap: a fill that comes back within the grace begins it anew', () => {
    let state: PressureState = { level: 'critical' };
    for (let ms = 0; ms < 5_000; ms += 300) {
      state = nextPressure(state, ms % 600 === 0 ? 0.86 : 0.84, ms, GRACE_MS);
      expect(state.level).toBe('critical');
    }
  });

  test('is never below the fill, and below no level that the fill had within the grace', () => {
    const steps = fc.array(
      fc.record({ fill: fc.double({ min: 0, max: 1.2, noNaN: true }), ms: fc.nat(400) }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (given) => {
        let state = NO_PRESSURE;
        let nowMs = 0;
        const seen: { readonly atMs: number; readonly fill: number }[] = [];
        for (const { fill, ms } of given) {
          nowMs += ms;
          seen.push({ atMs: nowMs, fill });
          const before = state.level;
          state = nextPressure(state, fill, nowMs, GRACE_MS);
          expect(isAtLeast(state.level, pressureOf(fill))).toBe(true);
          // A step down means a whole grace without what was left.
          if (!isAtLeast(state.level, before))
            for (const each of seen)
              if (each.atMs > nowMs - GRACE_MS)
                expect(isAtLeast(state.level, pressureOf(each.fill))).toBe(true);
        }
      }),
    );
  });
});
