import { expect, test } from 'vitest';
import { OwnLoad } from '../src/admission/own-load.ts';

test('a gateway is as full as what it has most of', () => {
  const it = new OwnLoad({ bytesMax: 1_000, publishes: () => 40, publishesMax: 100 });
  expect(it.fill()).toEqual({ fill: 0.4, cause: 'publishes' });
  const body = it.enter(100);
  expect(it.fill().cause).toBe('publishes');
  body.resize(700);
  expect(it.fill()).toEqual({ fill: 0.7, cause: 'bytes' });
  body.leave();
  body.leave();
  expect(it.fill().cause).toBe('publishes');
});
