import { describe, expect, test } from 'vitest';
import { Crowding } from '../src/worker/crowding.ts';

describe('graph building', () => {
  test('goes on without a pause while nobody interrupts it', () => {
    const crowding = new Crowding();
    for (let i = 0; i < 1_000; i++) expect(crowding.pauseMs(0.3 + (i % 7) / 10)).toBe(0);
  });

  test('pauses after a slice in which the thread was put aside, longer for longer', () => {
    const crowding = new Crowding();
    crowding.pauseMs(0.3);
    expect(crowding.pauseMs(6.3)).toBeCloseTo(30, 0);
    expect(crowding.pauseMs(300)).toBe(100);
    expect(crowding.pauseMs(0.3)).toBe(0);
  });

  test('does not take slow inserts for a crowd', () => {
    const crowding = new Crowding();
    crowding.pauseMs(0.3);
    // Fifty slices of a large graph, and they are known for what they are.
    const pauses = Array.from({ length: 500 }, () => crowding.pauseMs(9));
    expect(pauses.slice(-100)).toEqual(Array.from({ length: 100 }, () => 0));
  });
});
