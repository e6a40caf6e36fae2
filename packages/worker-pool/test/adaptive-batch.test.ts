import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batchSize, BatchTime } from '../src/adaptive-batch.ts';

const limits = fc
  .tuple(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 0, max: 2_000 }))
  .map(([minBatch, more]) => ({ minBatch, maxBatch: minBatch + more }));

describe('a batch', () => {
  test('grows with what waits, from the least to the most (property)', () => {
    fc.assert(
      fc.property(limits, fc.nat(20_000), fc.nat(20_000), (bounds, one, other) => {
        const [fewer, more] = [Math.min(one, other), Math.max(one, other)];
        expect(batchSize(fewer, bounds)).toBeLessThanOrEqual(batchSize(more, bounds));
        for (const depth of [fewer, more]) {
          expect(batchSize(depth, bounds)).toBeGreaterThanOrEqual(bounds.minBatch);
          expect(batchSize(depth, bounds)).toBeLessThanOrEqual(bounds.maxBatch);
        }
        expect(batchSize(0, bounds)).toBe(bounds.minBatch);
        expect(batchSize(5_000, bounds)).toBe(bounds.maxBatch);
        expect(batchSize(1_000_000, bounds)).toBe(bounds.maxBatch);
      }),
    );
  });

  test.each([
    [0, 10],
    [100, 20],
    [1_000, 108],
    [5_000, 500],
  ])('at a depth of %i has %i observations with the defaults', (depth, size) => {
    expect(batchSize(depth, { minBatch: 10, maxBatch: 500 })).toBe(size);
  });
});

test('observations that take longer come in smaller batches', () => {
  const time = new BatchTime();
  expect(time.observationsMax).toBe(Infinity);
  time.note(0, 50);
  expect(time.observationsMax).toBe(Infinity);
  time.note(500, 5);
  expect(time.observationsMax).toBeCloseTo(400);
  for (let i = 0; i < 100; i++) time.note(100, 10);
  expect(time.observationsMax).toBeCloseTo(40, 0);
});
