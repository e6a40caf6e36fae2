import type { Refusal } from '@engram/admission';
import type { ClusterError, Lane } from '@engram/model';
import { afterEach, describe, expect, test } from 'vitest';
import { WriteSlots } from '../src/admission/write-slots.ts';

const open: WriteSlots[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((slots) => slots.close()));
});

function slots(loopDelayMaxMs = 50) {
  let nowMs = 0;
  let delayMs = 0;
  let sleepers: (() => void)[] = [];
  const refusals: Refusal[] = [];
  const it = new WriteSlots({
    loopDelayMs: () => delayMs,
    loopDelayMaxMs,
    onRefused: (refusal) => refusals.push(refusal),
    clock: {
      now: () => nowMs,
      wallNow: () => nowMs,
      sleep: (_ms, signal) =>
        new Promise((resolve) => {
          sleepers.push(resolve);
          signal?.addEventListener('abort', () => resolve());
        }),
    },
    random: () => 0,
    logger: { error: () => undefined } as never,
  });
  open.push(it);
  const enter = (space: string, lane: Lane = 'normal') => {
    try {
      return it.enter(space, lane);
    } catch (error) {
      return error as ClusterError;
    }
  };
  const looks = async (count: number, ms = delayMs) => {
    delayMs = ms;
    for (let i = 0; i < count; i++) {
      nowMs += 100;
      const woken = sleepers;
      sleepers = [];
      for (const wake of woken) wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  /** As many as are taken. */
  const fill = (space: string, lane?: Lane) => {
    const leaves: (() => void)[] = [];
    for (;;) {
      const entered = enter(space, lane);
      if (typeof entered !== 'function') return { leaves, error: entered };
      leaves.push(entered);
    }
  };
  return { it, enter, fill, looks, refusals };
}

describe('the writes of a gateway', () => {
  test('are fewer while its loop is late, and as many as before when it no longer is', async () => {
    const { fill, looks, it } = slots();
    const first = fill('a');
    expect(first.leaves).toHaveLength(64);
    expect(first.error).toMatchObject({
      code: 'BACKPRESSURE',
      status: 429,
      details: { scope: 'gateway', cause: 'loop', lane: 'normal', retryAfterMs: 1_000 },
    });
    await looks(100, 80);
    expect(it.limit).toBe(8);
    for (const leave of first.leaves) leave();
    expect(fill('a').leaves).toHaveLength(8);
    for (let i = 0; i < 50; i++) {
      fill('a');
      await looks(1, 10);
    }
    expect(it.limit).toBeGreaterThan(50);
  });

  test('in the lane high are twice as many, in low fewer', async () => {
    const { fill, looks } = slots();
    await looks(100, 80);
    expect(fill('a', 'low').leaves).toHaveLength(6);
    expect(fill('a', 'normal').leaves).toHaveLength(2);
    expect(fill('a', 'high').leaves).toHaveLength(8);
  });

  test('of one space are half, where others write too, which are taken', async () => {
    const { enter, fill, looks, refusals } = slots();
    (enter('quiet') as () => void)();
    await looks(100, 80);
    (enter('quiet') as () => void)();
    const greedy = fill('greedy');
    expect(greedy.leaves).toHaveLength(4);
    expect(greedy.error).toMatchObject({ details: { scope: 'space', cause: 'share' } });
    expect(enter('quiet')).toBeTypeOf('function');
    expect(refusals).toHaveLength(1);
  });

  test('of a space that is alone again are all', async () => {
    const { enter, fill, looks } = slots();
    (enter('quiet') as () => void)();
    await looks(102, 0);
    expect(fill('greedy').leaves).toHaveLength(64);
  });

  test('are not taken by looking whether there are any', async () => {
    const { it, fill, looks } = slots();
    await looks(100, 80);
    for (let i = 0; i < 100; i++) it.check('idle', 'normal');
    expect(it.underWay).toBe(0);
    const { leaves } = fill('a');
    expect(() => it.check('idle', 'normal')).toThrow();
    for (const leave of leaves) leave();
    it.check('idle', 'normal');
  });

  test('leave once, and are not limited where that is not wanted', async () => {
    const { it, enter, looks } = slots(0);
    await looks(10, 999);
    const leaves = Array.from({ length: 500 }, () => enter('a') as () => void);
    expect(it.underWay).toBe(500);
    leaves[0]!();
    leaves[0]!();
    expect(it.underWay).toBe(499);
  });
});
