// What is shown of all sides of one data set.

import type { ReportTable } from '../group.ts';
import { formatMs, formatRate, formatRecall, formatSpread } from '../samples.ts';
import { CLIENTS, type Again, type Killed, type Measured } from './measure.ts';
import type { Peer } from './peer.ts';

/** One side with what each repetition measured of it, or why it is absent. */
export interface Side {
  readonly peer: Peer;
  readonly runs: readonly Measured[];
  readonly absence: string | undefined;
}

/** The reason, which would make the columns wide, stands in the notes. */
const ABSENT = 'absent: pnpm bench:peers';

type Column = readonly [head: string, cell: (side: Side) => string];

/** @param rows how many each side holds */
export function sideTables(set: string, rows: number, sides: readonly Side[]): ReportTable[] {
  const table = (what: string, columns: readonly Column[]): ReportTable => ({
    title: `${set}: ${what}`,
    head: ['side', ...columns.map(([head]) => head)],
    rows: sides.map((side) => [
      side.peer.name,
      ...(side.absence === undefined
        ? columns.map(([, cell]) => cell(side))
        : columns.map((_, at) => (at === 0 ? ABSENT : '–'))),
    ]),
  });
  return [
    table('written, until all is acknowledged, searchable and in the graph', WRITING),
    table('searched at the narrowest setting with recall@10 of 0.95', SEARCHING),
    table('bytes for each observation', keeping(rows)),
    table('killed and started, until the first right answer', KILLED),
  ];
}

const WRITING: readonly Column[] = [
  ['observations/s', of(({ perSecond }) => perSecond, formatRate)],
  ['observations per CPU-second', of(({ perCpuSecond }) => perCpuSecond, formatRate)],
  ['once more, into another collection', ofAgain(({ perCpuSecond }) => perCpuSecond)],
];

const SEARCHING: readonly Column[] = [
  ['setting', ({ runs }) => [...new Set(runs.map(({ setting }) => setting))].join(', ')],
  ['recall@10', of(({ recall }) => recall, formatRecall)],
  ...CLIENTS.flatMap((clients, at): Column[] => [
    [`queries/s, ${clients} in flight`, of(({ searched }) => searched[at]!.perSecond, formatRate)],
    ['p50 ms', of(({ searched }) => searched[at]!.p50Ms, formatFine)],
    ['p99 ms', of(({ searched }) => searched[at]!.p99Ms, formatFine)],
  ]),
  ['queries per CPU-second', of(({ searched }) => searched.at(-1)!.perCpuSecond, formatRate)],
];

function keeping(rows: number): readonly Column[] {
  const each = (bytes: number): string => formatRate(bytes / rows);
  return [
    ['memory', of(({ memoryEach }) => memoryEach, formatRate)],
    ['of what holds the rows', of(({ storeMemoryEach }) => storeMemoryEach, formatRate)],
    ['that, once more', ofAgain(({ storeMemoryEach }) => storeMemoryEach)],
    ['disk', of(({ disk }) => disk.storeBytes, each)],
    ['its log', of(({ disk }) => disk.logBytes, each)],
    [
      'disk, rested',
      ofKilled(({ restedDisk }) => (restedDisk ? [restedDisk.storeBytes] : []), each),
    ],
    [
      'its log, rested',
      ofKilled(({ restedDisk }) => (restedDisk ? [restedDisk.logBytes] : []), each),
    ],
  ];
}

const KILLED: readonly Column[] = [
  ['as written, ms', ofKilled(({ writtenMs }) => [writtenMs], formatMs)],
  ['rested, ms', ofKilled(({ restedMs }) => restedMs, formatMs)],
];

function of(value: (run: Measured) => number, format: (value: number) => string): Column[1] {
  return ({ runs }) => formatSpread(runs.map(value), format);
}

function ofAgain(value: (again: Again) => number): Column[1] {
  return ({ runs }) =>
    formatSpread(
      runs.flatMap(({ again }) => (again ? [value(again)] : [])),
      formatRate,
    );
}

function ofKilled(
  values: (killed: Killed) => readonly number[],
  format: (value: number) => string,
): Column[1] {
  return ({ runs }) =>
    formatSpread(
      runs.flatMap(({ killed }) => (killed ? values(killed) : [])),
      format,
    );
}

/** Answers take less than a millisecond. */
function formatFine(ms: number): string {
  return ms < 1 ? ms.toFixed(2) : formatMs(ms);
}
