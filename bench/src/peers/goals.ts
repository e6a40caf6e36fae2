// What ours is to reach beside the others, and whether it does.

import type { Figure } from '../figures/figure.ts';
import type { ReportTable } from '../group.ts';
import { formatRatio, formatSpread, mean } from '../samples.ts';
import type { Killed, Measured } from './measure.ts';
import type { Disk } from './peer.ts';
import { redisFast } from './redis.ts';
import type { Side } from './tables.ts';

/** What is compared, and which way is better. */
interface Measure {
  readonly name: string;
  readonly better: Figure['better'];
  readonly of: (run: Measured) => readonly number[];
}

interface Goal {
  readonly measure: Measure;
  /** Names of sides begin with one of these. */
  readonly against: readonly string[];
  /** Ratio of ours to the best of those. */
  readonly ratio: number;
}

const at = (run: Measured) => run.searched.at(-1)!;
const WRITES: Measure = {
  name: 'observations per CPU-second',
  better: 'higher',
  of: ({ perCpuSecond }) => [perCpuSecond],
};
const WRITES_AGAIN: Measure = {
  name: 'the same, written once more',
  better: 'higher',
  of: ({ again }) => (again ? [again.perCpuSecond] : []),
};
const MEMORY_AGAIN: Measure = {
  name: 'memory, of what holds the rows, of those written once more',
  better: 'lower',
  of: ({ again }) => (again ? [again.storeMemoryEach] : []),
};
const MEMORY: readonly Measure[] = [
  {
    name: 'memory, of what holds the rows',
    better: 'lower',
    of: ({ storeMemoryEach }) => [storeMemoryEach],
  },
  { name: 'memory, of all processes', better: 'lower', of: ({ memoryEach }) => [memoryEach] },
];
const DISK: readonly Measure[] = [
  {
    name: 'disk, rested, without a log beside it',
    better: 'lower',
    of: ({ killed }) => restedOf(killed, ({ storeBytes }) => storeBytes),
  },
  {
    name: 'disk, rested, with its log',
    better: 'lower',
    of: ({ killed }) => restedOf(killed, ({ storeBytes, logBytes }) => storeBytes + logBytes),
  },
];
const REOPEN: readonly Measure[] = [
  {
    name: 'first right answer after a kill, as written',
    better: 'lower',
    of: ({ killed }) => (killed ? [killed.writtenMs] : []),
  },
  {
    name: 'first right answer after a kill, rested',
    better: 'lower',
    of: ({ killed }) => killed?.restedMs ?? [],
  },
];
const SEARCH: readonly Measure[] = [
  { name: 'queries/s, 1 in flight', better: 'higher', of: (run) => [run.searched[0]!.perSecond] },
  { name: 'p99, 1 in flight', better: 'lower', of: (run) => [run.searched[0]!.p99Ms] },
  { name: 'queries/s, 8 in flight', better: 'higher', of: (run) => [at(run).perSecond] },
  { name: 'p99, 8 in flight', better: 'lower', of: (run) => [at(run).p99Ms] },
];

/** Of its two the one that is measured in each repetition, and writes faster. */
const REDIS = redisFast.name;

/** @param writes how many times as many observations per CPU-second as the fastest server */
export function goalsOf(writes: number): readonly Goal[] {
  return [
    { measure: WRITES, against: [REDIS, 'Chroma'], ratio: writes },
    { measure: WRITES_AGAIN, against: [REDIS], ratio: writes },
    ...SEARCH.map((measure) => ({ measure, against: [REDIS], ratio: 1 })),
    { measure: MEMORY_AGAIN, against: [REDIS], ratio: 1 },
    ...[...MEMORY, ...DISK].flatMap((measure) =>
      [REDIS, 'LanceDB'].map((name) => ({ measure, against: [name], ratio: 1 })),
    ),
    ...REOPEN.flatMap((measure) =>
      ['pgvector', REDIS].map((name) => ({ measure, against: [name], ratio: 1 })),
    ),
  ];
}

export function goalTable(
  set: string,
  goals: readonly Goal[],
  ours: Side,
  others: readonly Side[],
): ReportTable {
  return {
    title: `${set}: goals`,
    head: ['what', 'beside', 'ours / theirs', 'goal', 'met'],
    rows: goals.flatMap(({ measure, against, ratio }) => {
      const best = bestOf(measure, sidesOf(others, against));
      if (best === undefined) return [];
      const ratios = ratiosOf(measure, ours, best);
      if (ratios.length === 0) return [];
      const goal = measure.better === 'higher' ? `≥ ${ratio}` : `≤ ${ratio}`;
      const median = medianOf(ratios);
      const isMet = measure.better === 'higher' ? median >= ratio : median <= ratio;
      const cells = [measure.name, best.peer.name, formatSpread(ratios, formatRatio), goal];
      return [[...cells, isMet ? 'yes' : 'no']];
    }),
  };
}

/** Ratios of ours to Redis, which runs are compared by. */
export function figuresOf(set: string, ours: Side, others: readonly Side[]): Figure[] {
  return [WRITES, WRITES_AGAIN, ...SEARCH, ...MEMORY, MEMORY_AGAIN, ...DISK, ...REOPEN].flatMap(
    (measure): Figure[] => {
      const redis = bestOf(WRITES, sidesOf(others, [REDIS]));
      if (redis === undefined) return [];
      const { name, better } = measure;
      const samples = ratiosOf(measure, ours, redis);
      if (samples.length === 0) return [];
      return [{ name: `${set}: ${name}, of Redis`, unit: '×', better, samples }];
    },
  );
}

/** Of the same repetition, or, where the other was measured once, of that. */
function ratiosOf(measure: Measure, ours: Side, other: Side): number[] {
  const mine = ours.runs.flatMap(measure.of);
  const theirs = other.runs.flatMap(measure.of);
  return mine.map((value, index) => value / theirs[Math.min(index, theirs.length - 1)]!);
}

function sidesOf(sides: readonly Side[], names: readonly string[]): readonly Side[] {
  return sides.filter(
    ({ peer, runs }) => runs.length > 0 && names.some((name) => peer.name.startsWith(name)),
  );
}

function bestOf(measure: Measure, sides: readonly Side[]): Side | undefined {
  const worth = (side: Side): number =>
    mean(side.runs.flatMap(measure.of)) * (measure.better === 'higher' ? 1 : -1);
  return sides
    .filter((side) => side.runs.flatMap(measure.of).length > 0)
    .toSorted((left, right) => worth(right) - worth(left))[0];
}

function restedOf(killed: Killed | undefined, bytes: (disk: Disk) => number): readonly number[] {
  return killed?.restedDisk === undefined ? [] : [bytes(killed.restedDisk)];
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!;
}
