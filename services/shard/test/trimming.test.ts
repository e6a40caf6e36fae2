import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { trimmableTo, withMark, type Mark } from '../src/checkpoints/trimming.ts';

const mark = (watermark: number, writtenAtMs: number): Mark => ({ watermark, writtenAtMs });

describe('trimming', () => {
  const marks = [mark(10, 1_000), mark(20, 2_000), mark(30, 3_000)];
  const facts = { marks, previousWatermark: 20, nowMs: 3_500, keepMs: 2_000, isLogFull: false };

  test('removes what is older than is to be kept', () => {
    expect(trimmableTo(facts)).toBe(10);
    expect(trimmableTo({ ...facts, keepMs: 5_000 })).toBe(0);
  });

  test('removes all that the checkpoint before the last has when the log fills up', () => {
    expect(trimmableTo({ ...facts, isLogFull: true })).toBe(20);
  });

  test('never removes what the checkpoint before the last does not have (property)', () => {
    const step = fc.record({ entries: fc.nat(5), waitMs: fc.nat(3_000), isLogFull: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(5_000), (steps, keepMs) => {
        let kept: Mark[] = [];
        let [nowMs, watermark] = [0, 0];
        const all: Mark[] = [];
        for (const { entries, waitMs, isLogFull } of steps) {
          nowMs += waitMs;
          watermark += entries;
          const previousWatermark = all.at(-1)?.watermark ?? 0;
          const next = mark(watermark, nowMs);
          kept = withMark(kept, next, { nowMs, keepMs });
          all.push(next);
          const upTo = trimmableTo({ previousWatermark, marks: kept, nowMs, keepMs, isLogFull });
          expect(upTo).toBeLessThanOrEqual(previousWatermark);
          if (isLogFull) expect(upTo).toBe(previousWatermark);
          else {
            // As if no mark had ever been forgotten.
            const whole = trimmableTo({ previousWatermark, marks: all, nowMs, keepMs, isLogFull });
            expect(upTo).toBe(whole);
          }
        }
      }),
    );
  });
});
