import { perLane, type Lane } from '@engram/model';
import { expect, test } from 'vitest';
import { refusalOf } from '../src/index.ts';
import type { LaneSignal } from '../src/signal.ts';

const calm: LaneSignal = {
  level: 'normal',
  fill: 0,
  cause: 'none',
  waiting: 0,
  lagMs: 0,
  drainRate: 1_000,
  lagMaxMs: 4_000,
  spaces: new Map(),
};
const random = () => 0;

function refused(signal: Partial<LaneSignal>) {
  const lanes = perLane((lane: Lane) =>
    lane === 'normal' ? { ...calm, level: 'overloaded' as const, ...signal } : calm,
  );
  return refusalOf('normal', lanes, 'shard-1', random);
}

test('a backlog is told with its numbers, and until when half of it is applied', () => {
  const refusal = refused({ cause: 'lag', waiting: 6_000, lagMs: 6_000 });
  expect(refusal).toMatchObject({ code: 'BACKPRESSURE', cause: 'lag', waitHelps: true });
  expect(refusal.detail).toBe(
    'what waits for shard-1 takes 6.0 s: 6000 observations, 1000 are applied in a second',
  );
  expect(refusal.retryAfterMs).toBe(4_000);
  expect(refusal.batchMax).toBe(400);
  expect(refusal.lanesOpen).toEqual(['high', 'low']);
});

test('one that was there a moment ago is told without numbers that would contradict it', () => {
  const { detail } = refused({ cause: 'none', waiting: 0, lagMs: 0 });
  expect(detail).toBe('more waited for shard-1 than it applies in time, until a moment ago');
  expect(refused({ cause: 'lag', waiting: 400, lagMs: 400 }).detail).toContain('takes 400 ms');
});

test.each([
  ['memory', 'MEMORY_LIMIT'],
  ['stalled', 'PARTITION_UNAVAILABLE'],
] as const)('%s is not mended by waiting', (cause, code) => {
  expect(refused({ cause, waiting: 9 })).toMatchObject({ code, cause, waitHelps: false });
});
