import { expect, test } from 'vitest';
import { OwnLoad } from '../src/admission/own-load.ts';

function load(given: { publishes?: number; loopDelayMs?: number; loopDelayMaxMs?: number }) {
  return new OwnLoad({
    bytesMax: 1_000,
    publishes: () => given.publishes ?? 0,
    publishesMax: 100,
    loopDelayMs: () => given.loopDelayMs ?? 0,
    loopDelayMaxMs: given.loopDelayMaxMs ?? 200,
  });
}

test('a gateway is as full as what it has most of', () => {
  const it = load({ publishes: 40, loopDelayMs: 20 });
  expect(it.fill('normal')).toEqual({ fill: 0.4, cause: 'publishes' });
  const body = it.enter(100);
  expect(it.fill('normal').cause).toBe('publishes');
  body.resize(700);
  expect(it.fill('normal')).toEqual({ fill: 0.7, cause: 'bytes' });
  body.leave();
  body.leave();
  expect(it.fill('normal').cause).toBe('publishes');
});

test('a slow loop closes high later than the others, and can be left out', () => {
  expect(load({ loopDelayMs: 200 }).fill('normal')).toEqual({ fill: 1, cause: 'loop' });
  expect(load({ loopDelayMs: 200 }).fill('high')).toEqual({ fill: 0.5, cause: 'loop' });
  expect(load({ loopDelayMs: 9_999, loopDelayMaxMs: 0 }).fill('low').fill).toBe(0);
});
