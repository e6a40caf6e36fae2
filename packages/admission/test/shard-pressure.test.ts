import fc from 'fast-check';
import { LANES, perLane, type Lane, type MemberId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { isOpen } from '../src/refusal.ts';
import { ShardPressure, type LaneLoad, type MemoryLoad } from '../src/shard-pressure.ts';

const ROOMY: MemoryLoad = { state: 'normal', bytes: 10, softBytes: 400, hardBytes: 800 };
const LAG_MAX_MS = { high: 1_000, normal: 4_000, low: 30_000 };
const STEP_MS = 100;

type Loads = Partial<Record<Lane, { readonly waiting: number; readonly done: number }>>;

function shard() {
  const pressure = new ShardPressure({
    member: 'shard-1' as MemberId,
    startedAt: 1,
    lagMaxMs: LAG_MAX_MS,
    graceMs: 500,
  });
  const applied = perLane(() => 0);
  let nowMs = 0;
  /** A tenth of a second in which so many are applied, and so many wait at its end. */
  const step = (loads: Loads, memory = ROOMY) => {
    nowMs += STEP_MS;
    const told = perLane((lane): LaneLoad => {
      applied[lane] += loads[lane]?.done ?? 0;
      return {
        waiting: loads[lane]?.waiting ?? 0,
        applied: applied[lane],
        spaces: new Map(),
        room: 50_000,
      };
    });
    return pressure.next(told, memory, nowMs).lanes;
  };
  /** The same again and again. */
  const steps = (count: number, loads: Loads, memory = ROOMY) => {
    for (let i = 1; i < count; i++) step(loads, memory);
    return step(loads, memory);
  };
  return { step, steps };
}

describe('a shard', () => {
  test('at rest is pressed by nothing', () => {
    const lanes = shard().steps(10, {});
    for (const lane of LANES)
      expect(lanes[lane]).toMatchObject({ level: 'normal', cause: 'none', waiting: 0, lagMs: 0 });
  });

  test('says how long what waits takes, by what it applies while something waits', () => {
    const { normal } = shard().steps(300, { normal: { waiting: 30_000, done: 1_000 } });
    expect(normal.drainRate).toBeCloseTo(10_000, -2);
    expect(normal.lagMs).toBeCloseTo(3_000, -2);
    expect(normal).toMatchObject({ level: 'warning', cause: 'lag', waiting: 30_000 });
  });

  test('does not take a quiet hour for slowness', () => {
    const it = shard();
    const before = it.steps(100, { normal: { waiting: 30_000, done: 1_000 } }).normal.drainRate;
    const after = it.steps(100, { normal: { waiting: 0, done: 1 } }).normal.drainRate;
    expect(after).toBe(before);
  });

  test('closes the lane low first, then normal, and high for what waits in it alone', () => {
    const it = shard();
    const open = (waiting: number) => {
      const lanes = it.steps(60, { normal: { waiting, done: 1_000 } });
      return LANES.filter((lane) => isOpen(lane, lanes[lane].level));
    };
    expect(open(10_000)).toEqual(['high', 'normal', 'low']);
    expect(open(36_000)).toEqual(['high', 'normal']);
    expect(open(60_000)).toEqual(['high']);
    expect(open(10_000)).toEqual(['high', 'normal', 'low']);
    const lanes = it.steps(60, { high: { waiting: 20_000, done: 1_000 } });
    expect(LANES.filter((lane) => isOpen(lane, lanes[lane].level))).toEqual([]);
  });

  test('that is short of memory closes low at the soft limit, normal on the way, high at the hard', () => {
    const open = (memory: MemoryLoad) => {
      const lanes = shard().step({}, memory);
      return LANES.filter((lane) => isOpen(lane, lanes[lane].level)).join(' ');
    };
    const at = (state: MemoryLoad['state'], bytes: number) => open({ ...ROOMY, state, bytes });
    expect(at('normal', 399)).toBe('high normal low');
    expect(at('soft', 400)).toBe('high normal');
    // Just below the limit it is short all the same: memory has a grace of its own.
    expect(at('soft', 385)).toBe('high normal');
    expect(at('soft', 700)).toBe('high');
    expect(at('hard', 790)).toBe('');
  });

  test('at the hard limit says memory, though nothing is applied', () => {
    const memory: MemoryLoad = { ...ROOMY, state: 'hard', bytes: 800 };
    const { normal } = shard().steps(100, { normal: { waiting: 90_000, done: 0 } }, memory);
    expect(normal).toMatchObject({ level: 'overloaded', cause: 'memory' });
  });

  test('at whose entries nobody works is not overloaded but stalled, however little waits', () => {
    const it = shard();
    expect(it.steps(30, { normal: { waiting: 3, done: 0 } }).normal.cause).not.toBe('stalled');
    expect(it.steps(30, { normal: { waiting: 3, done: 0 } }).normal).toMatchObject({
      level: 'overloaded',
      cause: 'stalled',
    });
    it.step({ normal: { waiting: 0, done: 3 } });
    expect(it.steps(10, {}).normal).toMatchObject({ level: 'normal', cause: 'none' });
  });

  test('is slow, not stalled, while it applies something now and then', () => {
    const it = shard();
    for (let i = 0; i < 10; i++) {
      it.steps(30, { normal: { waiting: 90_000, done: 0 } });
      expect(it.step({ normal: { waiting: 90_000, done: 1 } }).normal.cause).toBe('lag');
    }
  });

  test('never has a lower lane less pressed than a lane above it', () => {
    const load = fc.record({ waiting: fc.nat(100_000), done: fc.nat(5_000) });
    const steps = fc.array(
      fc.tuple(
        fc.record({ high: load, normal: load, low: load }),
        fc.integer({ min: 0, max: 900 }),
      ),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(steps, (given) => {
        const it = shard();
        for (const [loads, bytes] of given) {
          const state = bytes >= 800 ? 'hard' : bytes >= 400 ? 'soft' : 'normal';
          const lanes = it.step(loads, { ...ROOMY, state, bytes });
          expect(lanes.low.fill).toBeGreaterThanOrEqual(lanes.normal.fill);
          expect(lanes.normal.fill).toBeGreaterThanOrEqual(lanes.high.fill);
        }
      }),
    );
  });
});
