import fc from 'fast-check';
import type { SpaceId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { isOpen } from '../src/refusal.ts';
import { SpaceShares } from '../src/space-shares.ts';

const ROOM = 1_200;
const RATE = 1_000;

function waitingOf(counts: Readonly<Record<string, number>>): ReadonlyMap<SpaceId, number> {
  return new Map(Object.entries(counts) as [SpaceId, number][]);
}

/** The spaces that are refused at this moment. */
function refused(counts: Readonly<Record<string, number>>): string[] {
  const told = new SpaceShares(500).next(waitingOf(counts), ROOM, RATE, 0);
  return [...told].flatMap(([space, { level }]) => (isOpen('normal', level) ? [] : [space]));
}

describe('of a lane that spaces share', () => {
  test('a greedy space may fill half, while another one uses the lane too', () => {
    expect(refused({ greedy: 500, quiet: 0 })).toEqual([]);
    expect(refused({ greedy: 600, quiet: 0 })).toEqual(['greedy']);
  });

  test('two greedy ones may fill a third each', () => {
    expect(refused({ one: 370, two: 370, quiet: 0 })).toEqual([]);
    expect(refused({ one: 400, two: 400, quiet: 0 })).toEqual(['one', 'two']);
  });

  test('a space that is alone may fill it', () => {
    expect(refused({ alone: ROOM })).toEqual([]);
  });

  test('who has little waiting is taken, though others have filled it', () => {
    expect(refused({ greedy: 2 * ROOM, quiet: 100 })).toEqual(['greedy']);
  });

  test('a space is told how long it waits, when each that waits gets the same', () => {
    const told = new SpaceShares(500).next(
      waitingOf({ one: 600, two: 100, three: 0 }),
      ROOM,
      RATE,
      0,
    );
    expect(told.get('one' as SpaceId)).toEqual({ level: 'overloaded', waiting: 600, lagMs: 1_200 });
  });

  test('a space is refused until the grace after it is over, and does not flap', () => {
    const shares = new SpaceShares(500);
    const at = (ms: number, waiting: number) =>
      shares.next(waitingOf({ greedy: waiting, quiet: 0 }), ROOM, RATE, ms).get('greedy' as SpaceId)
        ?.level;
    expect(at(0, 600)).toBe('overloaded');
    expect(at(100, 0)).toBe('overloaded');
    expect(at(599, 0)).toBe('overloaded');
    expect(at(600, 0)).toBeUndefined();
  });

  test('some room is left to others by those that are taken, however many there are (property)', () => {
    // One after the other each adds a little wherever it is still taken.
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), (greedy) => {
        const counts: Record<string, number> = { quiet: 0 };
        for (let i = 0; i < greedy; i++) counts[`g${i}`] = 0;
        for (let round = 0; round < 300; round++) {
          const closed = new Set(refused(counts));
          for (let i = 0; i < greedy; i++) if (!closed.has(`g${i}`)) counts[`g${i}`]! += 5;
        }
        const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
        expect(ROOM - total).toBeGreaterThanOrEqual(ROOM / (greedy + 1) - 5 * greedy);
        expect(refused(counts)).not.toContain('quiet');
      }),
    );
  });

  test('at most 32 are told of, the greediest', () => {
    const counts = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`s${i}`, 1_000 + i]));
    const told = new SpaceShares(500).next(waitingOf(counts), ROOM, RATE, 0);
    expect(told.size).toBe(32);
    expect([...told.keys()][0]).toBe('s49');
  });
});
