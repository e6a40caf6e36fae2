import { perLane, type Lane } from '@engram/model';
import { expect, test } from 'vitest';
import { pressureText, type Pressure } from '../src/pressure.ts';

function pressure(pressed: Partial<Record<Lane, [level: string, cause: string]>>): Pressure {
  return perLane((lane) => {
    const [level, cause] = pressed[lane] ?? ['normal', 'none'];
    return { level, cause, waiting: 0, lagMs: 0, drainRate: 0 };
  });
}

test('pressure is told by the lanes that have some, and a stall by its name', () => {
  expect(pressureText(undefined)).toBeUndefined();
  expect(pressureText(pressure({}))).toBe('normal');
  expect(
    pressureText(pressure({ normal: ['warning', 'lag'], low: ['overloaded', 'memory'] })),
  ).toBe('normal warning; low overloaded');
  expect(
    pressureText(pressure({ normal: ['overloaded', 'stalled'], low: ['overloaded', 'stalled'] })),
  ).toBe('normal, low stalled');
});
