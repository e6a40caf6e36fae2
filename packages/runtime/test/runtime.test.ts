import { describe, expect, test, vi } from 'vitest';
import type { Clock } from '../src/clock.ts';
import { backoffMs, Deadline } from '../src/deadline.ts';
import { Repeater } from '../src/repeater.ts';
import { Scope } from '../src/scope.ts';

/** A clock whose sleepers wake only by their signal. */
const stopped = { at: 0 };
const clock: Clock = {
  now: () => stopped.at,
  wallNow: () => stopped.at,
  sleep: (_ms, signal) =>
    signal?.aborted === true
      ? Promise.resolve()
      : new Promise((resolve) => signal?.addEventListener('abort', () => resolve())),
};

describe('a scope', () => {
  test('releases all of it once, in reverse order, and tells of every failure', async () => {
    const scope = new Scope();
    const released: string[] = [];
    for (const name of ['a', 'b', 'c'])
      scope.onClose(name, () => {
        released.push(name);
        if (name !== 'b') throw new Error(name);
      });
    const failure = await scope.close().catch((error: unknown) => error);
    expect(released).toEqual(['c', 'b', 'a']);
    expect((failure as AggregateError).errors.map(String)).toEqual([
      'Error: c did not close',
      'Error: a did not close',
    ]);
    await expect(scope.close()).rejects.toBe(failure);
    expect(released).toHaveLength(3);
    expect(() => scope.onClose('late', () => undefined)).toThrow(/late/);
  });
});

describe('a repeater', () => {
  test('never runs twice at once, runs again when it was asked meanwhile, and close waits', async () => {
    const ends: (() => void)[] = [];
    const onError = vi.fn();
    const run = () => new Promise<void>((resolve) => ends.push(resolve));
    const repeater = new Repeater({ clock, intervalMs: 1, run, onError });
    repeater.trigger();
    repeater.trigger();
    expect(ends).toHaveLength(1);
    ends[0]!();
    await vi.waitFor(() => expect(ends).toHaveLength(2));
    let isClosed = false;
    const closing = repeater.close().then(() => (isClosed = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    ends[1]!();
    await closing;
    expect(ends).toHaveLength(2);
    expect(onError).not.toHaveBeenCalled();
  });

  test('goes on after a round that failed, and wakes from its sleep when asked', async () => {
    const onError = vi.fn();
    const run = vi.fn(() => Promise.reject(new Error('no')));
    await using repeater = new Repeater({ clock, intervalMs: 1, run, onError });
    await vi.waitFor(() => expect(onError).toHaveBeenCalledTimes(1));
    repeater.trigger();
    await vi.waitFor(() => expect(onError).toHaveBeenCalledTimes(2));
  });
});

test('a deadline is over at its time and backoff is bounded', () => {
  stopped.at = 10;
  const deadline = new Deadline(clock, 5);
  stopped.at = 14;
  expect([deadline.remainingMs, deadline.isOver]).toEqual([1, false]);
  stopped.at = 16;
  expect([deadline.remainingMs, deadline.isOver]).toEqual([0, true]);
  expect([0, 1, 5, 2_000].map((n) => backoffMs(n, 10, 100, () => 1))).toEqual([10, 20, 100, 100]);
});
