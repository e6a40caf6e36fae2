import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LaneProgress } from '../src/lane-progress.ts';

describe('the progress of a lane', () => {
  test('is applied up to the last entry before the first unfinished one, in whatever order they finish', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 20 }),
        fc.infiniteStream(fc.nat()),
        (numbers, choices) => {
          const sequences = numbers.toSorted((a, b) => a - b);
          const lane = new LaneProgress();
          const open = sequences.map((sequence) => ({ sequence, finish: lane.receive(sequence)! }));
          expect(lane.received).toBe(sequences.at(-1));
          while (open.length > 0) {
            expect(lane.inFlight).toBeGreaterThanOrEqual(open.length);
            open.splice(choices.next().value! % open.length, 1)[0]!.finish();
            const first = Math.min(...open.map(({ sequence }) => sequence));
            expect(lane.applied).toBe(sequences.filter((each) => each < first).at(-1) ?? 0);
          }
          expect(lane.inFlight).toBe(0);
        },
      ),
    );
  });

  test('takes no entry twice and none that is older than one it has', () => {
    const lane = new LaneProgress();
    expect(lane.receive(5)).toBeTypeOf('function');
    expect(lane.receive(5)).toBeUndefined();
    expect(lane.receive(4)).toBeUndefined();
    expect(lane.inFlight).toBe(1);
  });

  test('an entry that is finished twice counts once', () => {
    const lane = new LaneProgress();
    const finish = lane.receive(1)!;
    lane.receive(2);
    finish();
    finish();
    expect(lane.applied).toBe(1);
  });
});
