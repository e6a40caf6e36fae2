import { LANES, type Lane } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneQueues } from '../src/lane-queues.ts';

describe('lane queues', () => {
  test('give back everything, first in first out within a lane, and know their size', () => {
    const step = fc.option(fc.constantFrom<Lane>(...LANES), { freq: 2 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queues = new LaneQueues<{ readonly lane: Lane; readonly n: number }>();
        const waiting: Record<Lane, number[]> = { high: [], normal: [], low: [] };
        const count = () => LANES.reduce((sum, lane) => sum + waiting[lane].length, 0);
        const take = () => {
          const taken = queues.take();
          if (count() === 0) expect(taken).toBeUndefined();
          else expect(taken!.n).toBe(waiting[taken!.lane].shift());
        };
        steps.forEach((lane, n) => {
          if (lane === null) take();
          else {
            queues.push(lane, { lane, n });
            waiting[lane].push(n);
          }
          expect(queues.size).toBe(count());
        });
        while (count() > 0) take();
        expect(queues.size).toBe(0);
        expect(queues.take()).toBeUndefined();
      }),
    );
  });

  test('take the highest lane that waits, but for every sixteenth turn', () => {
    const queues = new LaneQueues<Lane>();
    for (const lane of ['low', 'normal', 'high'] as const)
      for (let i = 0; i < 5; i++) queues.push(lane, lane);
    const taken = Array.from({ length: 15 }, () => queues.take());
    expect(taken).toEqual([
      ...Array<Lane>(5).fill('high'),
      ...Array<Lane>(5).fill('normal'),
      ...Array<Lane>(5).fill('low'),
    ]);
  });

  test('symptom: the middle lane starved while the highest and the lowest were flooded', () => {
    const queues = new LaneQueues<Lane>();
    const counts: Record<Lane, number> = { high: 0, normal: 0, low: 0 };
    for (const lane of LANES) for (let i = 0; i < 1_600; i++) queues.push(lane, lane);
    for (let i = 0; i < 1_600; i++) counts[queues.take()!]++;
    expect(counts.high).toBe(1_500);
    expect(counts.normal).toBeGreaterThanOrEqual(40);
    expect(counts.low).toBeGreaterThanOrEqual(40);
  });

  test('a lower lane alone behind a flood has one turn in sixteen', () => {
    for (const lower of ['normal', 'low'] as const) {
      const queues = new LaneQueues<Lane>();
      for (const lane of ['high', lower] as const)
        for (let i = 0; i < 320; i++) queues.push(lane, lane);
      const taken = Array.from({ length: 320 }, () => queues.take());
      expect(taken.filter((lane) => lane === lower)).toHaveLength(20);
    }
  });
});
