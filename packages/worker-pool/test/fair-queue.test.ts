import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairQueue, QUANTUM } from '../src/fair-queue.ts';

interface Item {
  readonly key: string;
  readonly n: number;
}

function put(queue: FairQueue<Item>, item: Item, observations: number, queuedAtMs = 0): void {
  const cost = { observations, bytes: observations };
  queue.push(item.key, { lane: 'normal', item, cost, queuedAtMs });
}

const keys = fc.constantFrom('a', 'b', 'c', 'd');
const sizes = fc.nat(300);

describe('a fair queue', () => {
  test('gives back everything once, that of one key in order, and counts exactly', () => {
    const step = fc.option(fc.tuple(keys, sizes), { freq: 2 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const queue = new FairQueue<Item>();
        const model = new Map<string, { n: number; size: number }[]>();
        const left = () => [...model.values()].flat();
        const take = () => {
          const told = queue.first;
          const taken = queue.shift();
          expect(taken).toBe(told);
          if (taken === undefined) return expect(left()).toEqual([]);
          const first = model.get(taken.item.key)!.shift()!;
          expect({ n: taken.item.n, size: taken.cost.observations }).toEqual(first);
        };
        steps.forEach((given, n) => {
          if (given === null) take();
          else {
            put(queue, { key: given[0], n }, given[1], n);
            model.set(given[0], [...(model.get(given[0]) ?? []), { n, size: given[1] }]);
          }
          expect(queue.length).toBe(left().length);
          expect(queue.observations).toBe(left().reduce((sum, { size }) => sum + size, 0));
          const [oldest] = left()
            .map((each) => each.n)
            .sort((x, y) => x - y);
          expect(queue.oldestAtMs).toBe(oldest);
        });
        while (queue.length > 0) take();
        take();
      }),
    );
  });

  test('F2: of keys that wait all the time none gets more than another, whatever its sizes', () => {
    const size = fc.integer({ min: 1, max: 400 });
    const each = fc.array(size, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(each, { minLength: 2, maxLength: 6 }), (sizesOf) => {
        const queue = new FairQueue<Item>();
        const given = sizesOf.map(() => 0);
        const next = sizesOf.map(() => 0);
        const refill = (k: number) => {
          const of = sizesOf[k]!;
          put(queue, { key: String(k), n: 0 }, of[next[k]!++ % of.length]!);
        };
        // Two of each wait at any time, so that none is ever without an item.
        for (let k = 0; k < sizesOf.length; k++) [0, 1].forEach(() => refill(k));
        const largest = Math.max(...sizesOf.flat());
        for (let i = 0; i < 500; i++) {
          const taken = queue.shift()!;
          const k = Number(taken.item.key);
          given[k]! += taken.cost.observations;
          refill(k);
          // The bound of the paper's lemma 2: a quantum and the largest item on either side.
          expect(Math.max(...given) - Math.min(...given)).toBeLessThanOrEqual(
            2 * (QUANTUM + largest),
          );
        }
      }),
    );
  });

  test('who has one item waits for a turn of the others, not for their queues', () => {
    const queue = new FairQueue<Item>();
    for (let n = 0; n < 1_000; n++) put(queue, { key: 'noisy', n }, 10);
    for (let n = 0; n < 50; n++) queue.shift();
    put(queue, { key: 'quiet', n: 0 }, 10);
    const order = Array.from({ length: 12 }, () => queue.shift()!.item.key);
    expect(order.indexOf('quiet')).toBeLessThanOrEqual(QUANTUM / 10 + 1);
    expect(order.indexOf('quiet')).toBeGreaterThanOrEqual(0);
  });

  test('F3: who comes again and again within a round does not hold up the others', () => {
    const queue = new FairQueue<Item>();
    for (const key of ['x', 'y']) for (let n = 0; n < 500; n++) put(queue, { key, n }, 1);
    const given = { x: 0, y: 0, sly: 0 };
    put(queue, { key: 'sly', n: 0 }, 1);
    for (let i = 0; i < 600; i++) {
      const { key } = queue.shift()!.item as { key: keyof typeof given };
      given[key]++;
      if (key === 'sly') put(queue, { key, n: 0 }, 1);
    }
    expect(given.x).toBeGreaterThan(200);
    expect(given.y).toBeGreaterThan(200);
  });
});
