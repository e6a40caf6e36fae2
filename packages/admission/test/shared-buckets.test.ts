import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SharedBuckets, type Spending } from '../src/shared-buckets.ts';

const RATE = { perSecond: 100, burst: 50 };

/** What stands in Redis: one bucket for all, by one clock. */
class Store {
  #level = RATE.burst;
  #atMs = 0;

  answer(told: readonly Spending[], nowMs: number): number[] {
    return told.map(({ rate, spent }) => {
      const gained = ((nowMs - this.#atMs) / 1_000) * rate.perSecond;
      this.#level = Math.min(rate.burst, this.#level + gained) - spent;
      this.#atMs = nowMs;
      return this.#level;
    });
  }
}

describe('a bucket', () => {
  test('that nobody knows is open', () => {
    expect(new SharedBuckets().waitMs('a', RATE, 0)).toBe(0);
  });

  test('lets one request take more than it has, and is closed until that is paid', () => {
    const buckets = new SharedBuckets();
    buckets.take('a', RATE, 250, 0);
    expect(buckets.waitMs('a', RATE, 0)).toBe(2_001);
    expect(buckets.waitMs('a', RATE, 2_000)).toBeGreaterThan(0);
    expect(buckets.waitMs('a', RATE, 2_001)).toBe(0);
    expect(buckets.waitMs('b', RATE, 0)).toBe(0);
  });

  test('keeps no more than its burst for later', () => {
    const buckets = new SharedBuckets();
    buckets.take('a', RATE, 1, 0);
    buckets.take('a', RATE, 50, 3_600_000);
    expect(buckets.waitMs('a', RATE, 3_600_000)).toBe(1);
  });

  test('counts what other gateways took, once it is heard', () => {
    const store = new Store();
    const [one, two] = [new SharedBuckets(), new SharedBuckets()];
    one.take('a', RATE, 30, 0);
    two.take('a', RATE, 30, 0);
    for (const gateway of [one, two, one]) {
      const told = gateway.tell(0);
      gateway.take('a', RATE, 0, 0);
      gateway.hear(told, store.answer(told, 0), 0);
    }
    expect(one.waitMs('a', RATE, 0)).toBe(101);
    expect(two.waitMs('a', RATE, 0)).toBe(101);
  });

  test('does not give back what was taken while it was told of', () => {
    const buckets = new SharedBuckets();
    buckets.take('a', RATE, 10, 0);
    const told = buckets.tell(0);
    buckets.take('a', RATE, 60, 0);
    buckets.hear(told, [40], 0);
    expect(buckets.waitMs('a', RATE, 0)).toBe(201);
    expect(buckets.tell(0)).toEqual([{ name: 'a', rate: RATE, spent: 60 }]);
  });

  test('that is full again is forgotten', () => {
    const buckets = new SharedBuckets();
    buckets.take('a', RATE, 10, 0);
    buckets.tell(0);
    expect(buckets.size).toBe(1);
    expect(buckets.tell(99)).toHaveLength(1);
    expect(buckets.tell(100)).toEqual([]);
    expect(buckets.size).toBe(0);
  });

  test('gives each gateway its part while they do not hear of each other', () => {
    const buckets = new SharedBuckets();
    buckets.share(4);
    buckets.take('a', RATE, 75, 0);
    expect(buckets.waitMs('a', RATE, 0)).toBe(1_001);
  });

  test('T2: over time gateways together get the rate and a burst, and what one telling hides (property)', () => {
    const TELL_MS = 100;
    const BATCH_MAX = 40;
    const batch = fc.integer({ min: 1, max: BATCH_MAX });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.tuple(fc.nat(3), batch), { minLength: 200, maxLength: 600 }),
        (gateways, requests) => {
          const store = new Store();
          const all = Array.from({ length: gateways }, () => new SharedBuckets());
          let taken = 0;
          let nowMs = 0;
          for (const [who, tokens] of requests) {
            nowMs += 10;
            const gateway = all[who % gateways]!;
            if (gateway.waitMs('a', RATE, nowMs) === 0) {
              gateway.take('a', RATE, tokens, nowMs);
              taken += tokens;
            }
            if (nowMs % TELL_MS !== 0) continue;
            for (const each of all) {
              const told = each.tell(nowMs);
              each.hear(told, store.answer(told, nowMs), nowMs);
            }
          }
          // Each may spend in between what it believes to be there, and overdraw it by one batch.
          const hidden = gateways * (RATE.burst + BATCH_MAX + (RATE.perSecond * TELL_MS) / 1_000);
          expect(taken).toBeLessThanOrEqual((nowMs / 1_000) * RATE.perSecond + RATE.burst + hidden);
        },
      ),
    );
  });
});
