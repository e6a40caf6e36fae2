import { LANES, perLane, type Lane } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneBudget } from '../src/lane-budget.ts';
import { LaneQueues, OBSERVATIONS_A_SHARE, type Cost } from '../src/lane-queues.ts';

const KEY = 'notes';
const cost = (observations: number, bytes = observations): Cost => ({ observations, bytes });

const lane = fc.constantFrom<Lane>(...LANES);
const anyCost = fc.record({ observations: fc.nat(500), bytes: fc.nat(10_000) });

/** Observations of each lane that waits, in the order in which they came. */
type Model = Record<Lane, { readonly n: number; readonly cost: Cost; readonly atMs: number }[]>;

const sum = (model: Model, of: (each: Model[Lane][number]) => number) =>
  LANES.reduce((total, each) => total + model[each].reduce((t, item) => t + of(item), 0), 0);

describe('lane queues', () => {
  test('give back everything once, first in first out within a lane, and count exactly', () => {
    const step = fc.option(fc.tuple(lane, anyCost), { freq: 2 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queues = new LaneQueues<number>();
        const model: Model = perLane(() => []);
        const take = () => {
          const taken = queues.take();
          if (sum(model, () => 1) === 0) {
            expect(taken).toBeUndefined();
            return;
          }
          const first = model[taken!.lane].shift()!;
          expect(taken).toEqual({
            lane: taken!.lane,
            item: first.n,
            cost: first.cost,
            queuedAtMs: first.atMs,
          });
        };
        const check = () => {
          expect(queues.size).toBe(sum(model, () => 1));
          expect(queues.observations).toBe(sum(model, (item) => item.cost.observations));
          for (const each of LANES) {
            const items = model[each];
            expect(queues.depth(each)).toEqual({
              items: items.length,
              observations: items.reduce((total, item) => total + item.cost.observations, 0),
              bytes: items.reduce((total, item) => total + item.cost.bytes, 0),
            });
            expect(queues.oldestAtMs(each)).toBe(items[0]?.atMs);
          }
        };
        steps.forEach((given, n) => {
          if (given === null) take();
          else {
            const [into, of] = given;
            queues.push(into, KEY, n, of, n * 10);
            model[into].push({ n, cost: of, atMs: n * 10 });
          }
          check();
        });
        while (sum(model, () => 1) > 0) take();
        check();
        expect(queues.take()).toBeUndefined();
      }),
    );
  });

  test('take the highest lane that waits, while no lower one is owed a share', () => {
    const queues = new LaneQueues<Lane>();
    for (const each of ['low', 'normal', 'high'] as const)
      for (let i = 0; i < 5; i++) queues.push(each, KEY, each, cost(1), 0);
    const taken = Array.from({ length: 15 }, () => queues.take()!.item);
    expect(taken).toEqual([
      ...Array<Lane>(5).fill('high'),
      ...Array<Lane>(5).fill('normal'),
      ...Array<Lane>(5).fill('low'),
    ]);
  });

  test('a lane is never ahead of a higher one by more than its share (property)', () => {
    const step = fc.option(fc.tuple(lane, fc.nat(100)), { freq: 2 });
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 400 }), (steps) => {
        const queues = new LaneQueues<Lane>();
        const overtaken = perLane(() => 0);
        const outOfTurn = perLane(() => 0);
        for (const given of steps) {
          if (given !== null) {
            queues.push(given[0], KEY, given[0], cost(given[1]), 0);
            continue;
          }
          const waiting = LANES.filter((each) => queues.depth(each).items > 0);
          const taken = queues.take();
          if (taken === undefined) continue;
          const { observations } = taken.cost;
          const rank = LANES.indexOf(taken.lane);
          for (const other of waiting)
            if (LANES.indexOf(other) > rank) overtaken[other] += observations;
          // An item of no observations is an item all the same.
          if (taken.lane !== waiting[0]) outOfTurn[taken.lane] += Math.max(1, observations);
          expect(outOfTurn[taken.lane] * OBSERVATIONS_A_SHARE).toBeLessThanOrEqual(
            overtaken[taken.lane],
          );
        }
      }),
    );
  });

  // For the largest item S: what was taken above a lane is at most 16 times its own, with one item of
  // its own not yet due (16 S), one above that overshoots, and a turn of the other lower lane.
  const SLACK_ITEMS = 24;

  test('L1: each lower lane has its share under an endless flood, whatever the sizes (property)', () => {
    const size = fc.integer({ min: 1, max: 1_000 });
    const sizes = fc.record({
      high: fc.array(size, { minLength: 1, maxLength: 5 }),
      normal: fc.array(size, { minLength: 1, maxLength: 5 }),
      low: fc.array(size, { minLength: 1, maxLength: 5 }),
    });
    const floods = fc.subarray<Lane>(['normal', 'low'], { minLength: 1 });
    fc.assert(
      fc.property(sizes, floods, ({ high, normal, low }, lower) => {
        const queues = new LaneQueues<Lane>();
        const given: Record<Lane, readonly number[]> = { high, normal, low };
        const lanes: Lane[] = ['high', ...lower];
        const pushed = perLane(() => 0);
        const push = (each: Lane) => {
          const next = given[each][pushed[each]++ % given[each].length]!;
          queues.push(each, KEY, each, cost(next), 0);
        };
        // Two of each, so that no lane is ever empty: an empty one does not wait.
        for (const each of [...lanes, ...lanes]) push(each);
        const taken = perLane(() => 0);
        const largest = Math.max(...high, ...normal, ...low);
        for (let i = 0; i < 2_000; i++) {
          const { lane: from, cost: of } = queues.take()!;
          taken[from] += of.observations;
          push(from);
          for (const each of lower) {
            const rank = LANES.indexOf(each);
            const above = LANES.slice(0, rank).reduce((total, other) => total + taken[other], 0);
            expect(above).toBeLessThanOrEqual(
              OBSERVATIONS_A_SHARE * taken[each] + SLACK_ITEMS * largest,
            );
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a lower lane alone behind a flood has one observation in seventeen', () => {
    for (const lower of ['normal', 'low'] as const) {
      const queues = new LaneQueues<Lane>();
      for (const each of ['high', lower] as const)
        for (let i = 0; i < 340; i++) queues.push(each, KEY, each, cost(1), 0);
      const taken = Array.from({ length: 340 }, () => queues.take()!.item);
      expect(taken.filter((each) => each === lower)).toHaveLength(20);
    }
  });

  test('symptom: the middle lane starved while the highest and the lowest were flooded', () => {
    const queues = new LaneQueues<Lane>();
    const counts = perLane(() => 0);
    for (const each of LANES)
      for (let i = 0; i < 1_700; i++) queues.push(each, KEY, each, cost(1), 0);
    for (let i = 0; i < 1_700; i++) counts[queues.take()!.item]++;
    expect(counts.normal).toBeGreaterThanOrEqual(90);
    expect(counts.low).toBeGreaterThanOrEqual(90);
    expect(counts.high).toBeGreaterThanOrEqual(1_500);
  });
});

describe('a lane budget', () => {
  const limits = {
    high: cost(10, 1_000),
    normal: cost(100, 10_000),
    low: cost(50, 500),
  };

  test('an empty lane takes anything; else both bounds hold, and what is given back is room again', () => {
    const step = fc.oneof(fc.record({ lane, cost: anyCost }), fc.record({ back: fc.nat() }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const budget = new LaneBudget(limits);
        const taken: { readonly lane: Lane; readonly cost: Cost }[] = [];
        const used = (of: Lane): Cost =>
          taken
            .filter((each) => each.lane === of)
            .reduce(
              (total, each) =>
                cost(total.observations + each.cost.observations, total.bytes + each.cost.bytes),
              cost(0),
            );
        for (const each of steps) {
          if ('back' in each) {
            const [gone] = taken.splice(each.back % Math.max(1, taken.length), 1);
            if (gone !== undefined) budget.giveBack(gone.lane, gone.cost);
          } else {
            const before = used(each.lane);
            const limit = limits[each.lane];
            const fits =
              before.observations + each.cost.observations <= limit.observations &&
              before.bytes + each.cost.bytes <= limit.bytes;
            const isEmpty = before.observations === 0 && before.bytes === 0;
            expect(budget.take(each.lane, each.cost)).toBe(isEmpty || fits);
            if (isEmpty || fits) taken.push(each);
          }
          for (const of of LANES) {
            const now = used(of);
            expect(budget.used(of)).toEqual(now);
            expect(budget.room(of)).toEqual({
              observations: Math.max(0, limits[of].observations - now.observations),
              bytes: Math.max(0, limits[of].bytes - now.bytes),
            });
          }
        }
      }),
    );
  });

  test('a lane that is full leaves the others alone', () => {
    const budget = new LaneBudget(limits);
    expect(budget.take('high', cost(10))).toBe(true);
    expect(budget.take('high', cost(1))).toBe(false);
    expect(budget.take('low', cost(50, 500))).toBe(true);
    expect(budget.room('normal')).toEqual(limits.normal);
  });
});
