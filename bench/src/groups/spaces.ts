// The reference's "Multi-Space Isolation": as many observations in one space, in some, and in very many.

import { availableParallelism } from 'node:os';
import { engineLoad, type EngineLoad } from '../engine/engine-load.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { words } from '../vectors.ts';

const COUNTS = [1, 2, 4, 8, 64, 1_000, 10_000];
const QUICK_COUNTS = [1, 8, 1_000];
const ROWS = 40_000;
const QUICK_ROWS = 8_000;

export const spaces: Group = {
  name: 'spaces',
  title: 'the same observations in one space and in many',
  run,
};

async function run({ isQuick, repetitions, signal, progress }: GroupContext): Promise<GroupReport> {
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const workers = availableParallelism();
  const counts = isQuick ? QUICK_COUNTS : COUNTS;
  const samples = new Map<number, EngineLoad[]>(counts.map((count) => [count, []]));
  for (let i = 0; i < repetitions; i++)
    for (const [count, loads] of samples) {
      progress(`${count} spaces, repetition ${i + 1} of ${repetitions}`);
      const rowsOf = Array.from({ length: count }, () => Math.floor(vectors.count / count));
      loads.push(await engineLoad({ vectors, workers, rowsOf }, signal));
    }
  const one = samples.get(1)!;
  const of = (loads: readonly EngineLoad[], value: (load: EngineLoad) => number) =>
    loads.map(value);
  const many = counts.at(-1)!;
  return {
    tables: [
      {
        title: `${vectors.count} rows of ${vectors.name} over the spaces, ${workers} workers`,
        head: [
          'spaces',
          'searchable/s',
          'in graphs/s',
          'of one space',
          'for each space',
          'p99 ms',
          'recall@10',
        ],
        rows: [...samples].map(([count, loads]) => [
          count.toLocaleString('en-US'),
          formatSpread(
            of(loads, (load) => load.searchableRate),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.graphRate),
            formatRate,
          ),
          formatSpread(
            loads.map(({ graphRate }, i) => graphRate / one[i]!.graphRate),
            formatRatio,
          ),
          formatSpread(
            of(loads, (load) => load.graphRate / count),
            (rate) => (rate < 100 ? rate.toFixed(1) : formatRate(rate)),
          ),
          formatSpread(
            of(loads, (load) => load.p99Ms),
            formatMs,
          ),
          recallText(loads, Math.floor(vectors.count / count)),
        ]),
      },
    ],
    notes: [
      'the total is the same in each row: what is told is what many spaces cost, and not that of more observations',
      'a space below 4,000 rows has no graph and is searched exactly, so its recall@10 is 1',
    ],
    figures: [
      {
        name: `searchable/s in ${many} spaces, of one`,
        unit: '×',
        better: 'higher',
        samples: samples
          .get(many)!
          .map(({ searchableRate }, i) => searchableRate / one[i]!.searchableRate),
      },
    ],
    data: { rows: vectors.count, samples: Object.fromEntries(samples) },
  };
}

const GRAPH_THRESHOLD = 4_000;

function recallText(loads: readonly EngineLoad[], rows: number): string {
  const measured = loads.flatMap(({ recall }) => recall ?? []);
  if (measured.length > 0) return formatSpread(measured, formatRecall);
  // Not measured: the exact answers are known for the whole set only.
  return rows < GRAPH_THRESHOLD ? 'exact' : 'as one';
}
