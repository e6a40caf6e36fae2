import { describe, expect, test } from 'vitest';
import { Crowding, threadCpuTime, type CpuTime } from '../src/worker/crowding.ts';

/** A thread that runs and waits as it is told, and is asked after each time. */
function watched() {
  let time: CpuTime = { ranMs: 0, waitedMs: 0 };
  let nowMs = 0;
  const crowding = new Crowding(() => time);
  return (ranMs: number, waitedMs: number): number => {
    time = { ranMs: time.ranMs + ranMs, waitedMs: time.waitedMs + waitedMs };
    nowMs += ranMs + waitedMs;
    return crowding.pauseMs(nowMs);
  };
}

describe('graph building', () => {
  test('goes on without a pause while nobody else wants the processor', () => {
    const pauseMs = watched();
    for (let i = 0; i < 1_000; i++) expect(pauseMs(1.5, 0.1)).toBe(0);
  });

  test('pauses when the thread had to wait too long, longer for longer', () => {
    const pauseMs = watched();
    expect(pauseMs(15, 10)).toBeCloseTo(25, 5); // 5 ms beyond a fifth of 25
    expect(pauseMs(5, 20)).toBeCloseTo(75, 5);
    expect(pauseMs(1.5, 300)).toBe(100);
    expect(pauseMs(20, 0)).toBe(0);
    expect(pauseMs(16, 4)).toBe(0);
  });

  test('counts what was waited until there is enough to judge by', () => {
    const pauseMs = watched();
    expect(pauseMs(2, 8)).toBe(0); // too little
    expect(pauseMs(2, 8)).toBeCloseTo(60, 5); // 16 of 20 ms
    expect(pauseMs(1, 1)).toBe(0);
  });

  test('is not kept from going on by the wait for its waking up after a pause', () => {
    const pauseMs = watched();
    expect(pauseMs(10, 20)).toBeGreaterThan(0);
    // A slice, and as much as a machine may take to wake a thread up, once; then slices without a wait.
    expect(pauseMs(1.5, 1.5)).toBe(0);
    for (let i = 0; i < 100; i++) expect(pauseMs(1.5, 0.1)).toBe(0);
  });

  test('does not pause where the system does not tell', () => {
    const crowding = new Crowding(() => undefined);
    for (let i = 0; i < 100; i++) expect(crowding.pauseMs(i * 10)).toBe(0);
  });
});

test.runIf(process.platform === 'linux')('Linux counts what this thread ran', () => {
  const cpuTime = threadCpuTime();
  const before = cpuTime()!;
  let sum = 0;
  while (cpuTime()!.ranMs - before.ranMs < 5) for (let i = 0; i < 10_000; i++) sum += Math.sqrt(i);
  expect(sum).toBeGreaterThan(0);
  expect(cpuTime()!.waitedMs).toBeGreaterThanOrEqual(before.waitedMs);
});
