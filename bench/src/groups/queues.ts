// The reference's "Queue Capacity Impact": how often a lane of the engine is full, what stands in it and what
// that takes of memory, by how much it may hold.

import { perLane } from '@engram/model';
import { engineLoad, type EngineLoad } from '../engine/engine-load.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRecall, formatSpread } from '../samples.ts';
import { words } from '../vectors.ts';

const CAPACITIES = [1_000, 10_000, 50_000, 100_000];
const QUICK_CAPACITIES = [1_000, 50_000];
const ROWS = 20_000;
const QUICK_ROWS = 6_000;
const SPACES = 8;
const MIB = 2 ** 20;
/** Room in bytes that is never what a lane is short of: its count of observations is the subject. */
const LANE_BYTES = 1_024 * MIB;

export const queues: Group = {
  name: 'queues',
  title: 'how much the lanes of a shard may hold',
  run,
};

async function run({ isQuick, repetitions, signal, progress }: GroupContext): Promise<GroupReport> {
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const capacities = isQuick ? QUICK_CAPACITIES : CAPACITIES;
  const samples = new Map<number, EngineLoad[]>(capacities.map((capacity) => [capacity, []]));
  const rowsOf = Array.from({ length: SPACES }, () => vectors.count);
  for (let i = 0; i < repetitions; i++)
    for (const [observations, loads] of samples) {
      progress(`${observations} observations, repetition ${i + 1} of ${repetitions}`);
      const engine = { lanes: perLane(() => ({ observations, bytes: LANE_BYTES })) };
      loads.push(await engineLoad({ vectors, workers: 2, rowsOf, engine }, signal));
    }
  const of = (loads: readonly EngineLoad[], value: (load: EngineLoad) => number) =>
    loads.map(value);
  return {
    tables: [
      {
        title: `${SPACES} × ${vectors.count} rows of ${vectors.name}, offered as fast as there is room, two workers`,
        head: [
          'lane holds',
          'times full',
          'waiting, p99',
          'MiB of that',
          'searchable/s',
          'p50 ms',
          'p99 ms',
          'recall@10',
        ],
        rows: [...samples].map(([capacity, loads]) => [
          capacity.toLocaleString('en-US'),
          formatSpread(
            of(loads, (load) => load.refusals),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.depthP99),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => (load.depthP99 * vectors.dimension * 4) / MIB),
            (mib) => mib.toFixed(1),
          ),
          formatSpread(
            of(loads, (load) => load.searchableRate),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.p50Ms),
            formatMs,
          ),
          formatSpread(
            of(loads, (load) => load.p99Ms),
            formatMs,
          ),
          formatSpread(
            loads.flatMap(({ recall }) => recall ?? []),
            formatRecall,
          ),
        ]),
      },
    ],
    notes: [
      'times full: entries of 80 observations that found no room and waited, of all that were offered',
      'MiB: what the embeddings that wait take, at most; a lane also has a bound in bytes (ENGRAM_LANE_BYTES_MAX, 8 MiB by default), which is out of the way here',
      'p50, p99: from being offered with room until searchable; a lane that holds more makes what is in it wait longer, and nothing faster',
    ],
    figures: [
      {
        name: 'searchable/s with the largest lane, of the smallest',
        unit: '×',
        better: 'higher',
        samples: samples
          .get(capacities.at(-1)!)!
          .map(
            ({ searchableRate }, i) =>
              searchableRate / samples.get(capacities[0]!)![i]!.searchableRate,
          ),
      },
    ],
    data: { rows: vectors.count, spaces: SPACES, samples: Object.fromEntries(samples) },
  };
}
