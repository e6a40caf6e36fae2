import { expect, test } from 'vitest';
import { reconnectDelays } from '../src/reconnect-delays.ts';

test('a try is due after a pause, by a clock that the wall clock does not touch', () => {
  let nowMs = 1_000;
  const delay = reconnectDelays({ now: () => nowMs }, () => 0.5);
  // The library tries at once where this is added to when it tried last.
  expect(delay()).toBe(-Infinity);
  expect(delay()).toBe(375);
  nowMs += 300;
  expect(delay()).toBe(75);
  nowMs += 75;
  expect(delay()).toBe(-Infinity);
  expect(delay()).toBe(375);
});
