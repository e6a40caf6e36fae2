// The reference's "Worker Scaling Analysis" and "Skewed Workload": the shard's engine with one worker thread
// and with more, and what threads without work of their own take over from one that has it all.

import { availableParallelism } from 'node:os';
import { engineLoad, type EngineLoad } from '../engine/engine-load.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { words, type Vectors } from '../vectors.ts';

/** In each space; enough for a graph. */
const ROWS = 8_000;
const QUICK_ROWS = 4_500;
/** So many that each of 1, 2, 3 or 4 workers has as many. */
const SPACES = 12;
const QUICK_SPACES = 4;
/** In the hot space. */
const HOT_ROWS = 32_000;
const QUICK_HOT_ROWS = 8_000;
/** Of all rows, those of the one hot space. */
const HOT_SHARE = 0.8;
/** Spaces beside the hot one, for each worker. */
const OTHERS = 4;
/** More than there are rows: nobody helps. */
const NEVER = 1_000_000_000;

export const workers: Group = {
  name: 'workers',
  title: 'worker threads of a shard: scaling, skew and what is taken over',
  run,
};

const SKEWS = ['balanced', 'skewed', 'skewed, nobody helps'] as const;
type Skew = (typeof SKEWS)[number];

interface Samples {
  readonly scaling: ReadonlyMap<number, EngineLoad[]>;
  readonly skew: Readonly<Record<Skew, EngineLoad[]>>;
}

async function run({ isQuick, repetitions, signal, progress }: GroupContext): Promise<GroupReport> {
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const hot = await words(isQuick ? QUICK_HOT_ROWS : HOT_ROWS, signal);
  const rowsOf = Array.from({ length: isQuick ? QUICK_SPACES : SPACES }, () => vectors.count);
  const cores = availableParallelism();
  const counts = isQuick ? [1, cores] : Array.from({ length: 2 * cores }, (_, i) => i + 1);
  const scaling = new Map<number, EngineLoad[]>(counts.map((count) => [count, []]));
  const skew: Samples['skew'] = { balanced: [], skewed: [], 'skewed, nobody helps': [] };
  for (let i = 0; i < repetitions; i++) {
    const tell = (what: string) => progress(`${what}, repetition ${i + 1} of ${repetitions}`);
    for (const [count, samples] of scaling) {
      tell(`${count} workers`);
      samples.push(await engineLoad({ vectors, workers: count, rowsOf }, signal));
    }
    for (const kind of SKEWS) {
      tell(kind);
      skew[kind].push(await skewed(hot, cores, kind, signal));
    }
  }
  return report(vectors, hot, rowsOf.length, { scaling, skew }, cores);
}

function skewed(
  vectors: Vectors,
  cores: number,
  kind: Skew,
  signal: AbortSignal,
): Promise<EngineLoad> {
  const total = vectors.count / HOT_SHARE;
  const shares = (rows: number, count: number) =>
    Array.from({ length: count }, () => Math.floor(rows / count));
  const rowsOf =
    kind === 'balanced'
      ? shares(total, cores)
      : [vectors.count, ...shares(total - vectors.count, OTHERS * cores)];
  const engine = kind === 'skewed, nobody helps' ? { stealThreshold: NEVER } : {};
  // The hot space is the first worker's, which has as many of the others as every worker.
  return engineLoad({ vectors, workers: cores, rowsOf, engine }, signal);
}

function report(
  vectors: Vectors,
  hot: Vectors,
  spaces: number,
  { scaling, skew }: Samples,
  cores: number,
): GroupReport {
  const one = scaling.get(1)!;
  const of = (samples: readonly EngineLoad[], value: (load: EngineLoad) => number) =>
    samples.map(value);
  const speedups = (samples: readonly EngineLoad[]) =>
    samples.map(({ graphRate }, i) => graphRate / one[i]!.graphRate);
  const recalls = (samples: readonly EngineLoad[]) =>
    formatSpread(
      samples.flatMap(({ recall }) => recall ?? []),
      formatRecall,
    );
  return {
    tables: [
      {
        title: `${spaces} spaces of ${vectors.count} ${vectors.name} each`,
        head: ['workers', 'searchable/s', 'in graphs/s', 'speedup', 'efficiency', 'recall@10'],
        rows: [...scaling].map(([count, samples]) => [
          String(count),
          formatSpread(
            of(samples, (load) => load.searchableRate),
            formatRate,
          ),
          formatSpread(
            of(samples, (load) => load.graphRate),
            formatRate,
          ),
          formatSpread(speedups(samples), formatRatio),
          formatSpread(
            speedups(samples).map((speedup) => speedup / Math.min(count, cores)),
            formatRatio,
          ),
          recalls(samples),
        ]),
      },
      {
        title: `${Math.round(hot.count / HOT_SHARE)} rows over ${cores} workers: in ${cores} spaces, or ${HOT_SHARE * 100} % in one`,
        head: [
          'rows',
          'in graphs/s',
          'of balanced',
          'busy share of the workers',
          'taken over',
          'recall@10',
        ],
        rows: SKEWS.map((kind) => [
          kind,
          formatSpread(
            of(skew[kind], (load) => load.graphRate),
            formatRate,
          ),
          formatSpread(
            skew[kind].map(({ graphRate }, i) => graphRate / skew.balanced[i]!.graphRate),
            formatRatio,
          ),
          skew[kind]
            .at(-1)!
            .utilizations.map((busy) => formatRatio(busy))
            .join(' '),
          formatSpread(
            of(skew[kind], (load) => load.stolen),
            formatRate,
          ),
          recalls(skew[kind]),
        ]),
      },
    ],
    notes: [
      `efficiency: speedup for each core that the workers can have, ${cores} here; the thread that hands out the entries runs beside them`,
      'taken over: segments whose graph another thread built; busy: by event loop, of the last repetition',
      'recall@10 of a space that has every row of the set; "balanced" has none',
    ],
    figures: [
      {
        name: `${cores} workers, of one`,
        unit: '×',
        better: 'higher',
        samples: speedups(scaling.get(cores) ?? one),
      },
      {
        name: 'skewed, of balanced',
        unit: '×',
        better: 'higher',
        samples: skew.skewed.map(({ graphRate }, i) => graphRate / skew.balanced[i]!.graphRate),
      },
    ],
    data: { rows: vectors.count, hotRows: hot.count, scaling: Object.fromEntries(scaling), skew },
  };
}
