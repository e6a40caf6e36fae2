import fc from 'fast-check';
import { perLane, type MemberId, type SpaceId } from '@engram/model';
import { expect, test } from 'vitest';
import { PRESSURES } from '../src/pressure.ts';
import type { SpaceShare } from '../src/space-shares.ts';
import { CAUSES, decodeSignal, encodeSignal, isNewer, type ShardSignal } from '../src/signal.ts';

const count = fc.nat();
const lane = fc.record({
  level: fc.constantFrom(...PRESSURES),
  cause: fc.constantFrom(...CAUSES),
  fill: fc.double({ min: 0, max: 100, noNaN: true, noDefaultInfinity: true }).map(Math.abs),
  waiting: count,
  lagMs: count,
  drainRate: count,
  lagMaxMs: count,
  spaces: fc
    .dictionary(
      fc.constantFrom('notes', 'a-b_C9', 'constructor', '__proto__'),
      fc.record({ level: fc.constantFrom(...PRESSURES), waiting: count, lagMs: count }),
    )
    .map((all) => new Map(Object.entries(all) as [SpaceId, SpaceShare][])),
});
const signals: fc.Arbitrary<ShardSignal> = fc.record({
  member: fc.constant('shard-1' as MemberId),
  startedAt: count,
  count,
  lanes: fc.record({ high: lane, normal: lane, low: lane }),
});

test('a signal comes through as it was said', () => {
  fc.assert(
    fc.property(signals, (signal) => {
      expect(decodeSignal(encodeSignal(signal))).toEqual(signal);
    }),
  );
});

test('what no shard says is passed over', () => {
  const lanes = perLane(() => ({
    level: 'normal',
    cause: 'none',
    fill: 0,
    waiting: 0,
    lagMs: 0,
    drainRate: 0,
    lagMaxMs: 0,
  }));
  const good = { member: 'shard-1', startedAt: 1, count: 1, lanes };
  expect(decodeSignal(JSON.stringify(good))).toBeDefined();
  const bad: unknown[] = [
    null,
    7,
    'x',
    [],
    { ...good, member: 'a.b' },
    { ...good, member: 7 },
    { ...good, startedAt: -1 },
    { ...good, count: null },
    { ...good, lanes: null },
    { ...good, lanes: { ...lanes, low: undefined } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, level: 'calm' } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, cause: 'toString' } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, fill: '1' } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, drainRate: -1 } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, spaces: 7 } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, spaces: { notes: null } } } },
    { ...good, lanes: { ...lanes, low: { ...lanes.low, spaces: { notes: { level: 'calm' } } } } },
    {
      ...good,
      lanes: {
        ...lanes,
        low: { ...lanes.low, spaces: { 'a.b': { level: 'normal', waiting: 1, lagMs: 1 } } },
      },
    },
  ];
  for (const each of bad) expect(decodeSignal(JSON.stringify(each))).toBeUndefined();
  for (const text of ['', '{', '\u0000']) expect(decodeSignal(text)).toBeUndefined();
  fc.assert(
    fc.property(fc.string(), (text) => {
      decodeSignal(text);
    }),
  );
});

test('of two signals the later one counts, and those of a new process begin anew', () => {
  const of = (startedAt: number, at: number) => ({ startedAt, count: at }) as ShardSignal;
  expect(isNewer(of(1, 1), undefined)).toBe(true);
  expect(isNewer(of(1, 2), of(1, 1))).toBe(true);
  expect(isNewer(of(1, 1), of(1, 1))).toBe(false);
  expect(isNewer(of(2, 1), of(1, 99))).toBe(true);
  expect(isNewer(of(1, 99), of(2, 1))).toBe(false);
});
