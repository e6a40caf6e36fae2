// The reference's "Parameter Tuning": settings of a shard's engine against each other, and the best of them for
// each profile on this machine.

import { availableParallelism } from 'node:os';
import { median } from 'simple-statistics';
import { perLane } from '@engram/model';
import { engineLoad, type EngineLoad } from '../engine/engine-load.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { paretoFront, type Outcome } from '../pareto.ts';
import { formatMs, formatRate, formatRecall, mean } from '../samples.ts';
import { words, type Vectors } from '../vectors.ts';

const ROWS = 10_000;
const QUICK_ROWS = 4_500;
const SPACES = 4;
const QUICK_SPACES = 2;
const BATCHES = [50, 200, 500, 1_000];
const LANES = [5_000, 50_000];
/** Of what the defaults put into graphs: the load at which latency is told. */
const LATENCY_LOAD = 0.6;
const MIB = 2 ** 20;
/** Half of the best rate is enough for whom memory matters. */
const ENOUGH = 0.5;

export const sweep: Group = {
  name: 'sweep',
  title: "settings of a shard's engine against each other, and the best for each profile",
  run,
};

interface Settings {
  readonly workers: number;
  readonly maxBatch: number;
  readonly lane: number;
}

interface Setting extends Settings, Outcome {
  readonly recall: number;
}

async function run({ isQuick, repetitions, signal, progress }: GroupContext): Promise<GroupReport> {
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const rowsOf = Array.from({ length: isQuick ? QUICK_SPACES : SPACES }, () => vectors.count);
  const cores = availableParallelism();
  const grid: Settings[] = [];
  for (const workers of isQuick ? [cores] : [...new Set([1, cores, 2 * cores])])
    for (const maxBatch of isQuick ? [50, 500] : BATCHES)
      for (const lane of isQuick ? [50_000] : LANES) grid.push({ workers, maxBatch, lane });
  progress('the defaults');
  const base = await engineLoad({ vectors, workers: cores, rowsOf }, signal);
  const perSecond = base.graphRate * LATENCY_LOAD;
  const samples = grid.map(() => [] as { full: EngineLoad; paced: EngineLoad }[]);
  for (let i = 0; i < repetitions; i++)
    for (const [at, settings] of grid.entries()) {
      const round = `setting ${at + 1} of ${grid.length}, repetition ${i + 1} of ${repetitions}`;
      progress(`${textOf(settings)}: ${round}`);
      samples[at]!.push(await measure(vectors, rowsOf, settings, perSecond, signal));
    }
  const outcomes = grid.map((settings, at): Setting => {
    const of = (value: (sample: { full: EngineLoad; paced: EngineLoad }) => number) =>
      median(samples[at]!.map(value));
    return {
      ...settings,
      rate: of(({ full }) => full.graphRate),
      p99Ms: of(({ paced }) => paced.p99Ms),
      memoryBytes: of(({ full }) => full.grownBytes),
      recall: mean(samples[at]!.flatMap(({ full }) => full.recall ?? [])),
    };
  });
  return report(vectors, rowsOf.length, perSecond, outcomes, samples);
}

async function measure(
  vectors: Vectors,
  rowsOf: readonly number[],
  { workers, maxBatch, lane }: Settings,
  perSecond: number,
  signal: AbortSignal,
) {
  const engine = {
    maxBatch,
    lanes: perLane(() => ({ observations: lane, bytes: 64 * MIB })),
  };
  const common = { vectors, workers, rowsOf, engine };
  const full = await engineLoad(common, signal);
  return { full, paced: await engineLoad({ ...common, perSecond }, signal) };
}

function report(
  vectors: Vectors,
  spaces: number,
  perSecond: number,
  outcomes: readonly Setting[],
  samples: object,
): GroupReport {
  const front = new Set(paretoFront(outcomes));
  const row = (outcome: Setting): string[] => [
    textOf(outcome),
    formatRate(outcome.rate),
    formatMs(outcome.p99Ms),
    formatRate(outcome.memoryBytes / MIB),
    formatRecall(outcome.recall),
  ];
  const head = ['in graphs/s', 'p99 ms', 'MiB', 'recall@10'];
  const best = bestOf(outcomes);
  return {
    tables: [
      {
        title: `${spaces} × ${vectors.count} rows of ${vectors.name}; p99 at ${formatRate(perSecond)} rows a second`,
        head: ['workers, batch, lane', ...head, 'on the front'],
        rows: outcomes.map((outcome) => [...row(outcome), front.has(outcome) ? 'yes' : '']),
      },
      {
        title: 'the best setting of them for each profile, on this machine',
        head: ['profile', 'workers, batch, lane', ...head],
        rows: Object.entries(best).map(([profile, outcome]) => [profile, ...row(outcome)]),
      },
    ],
    notes: [
      'workers (ENGRAM_WORKERS), the most that one takes at once (ENGRAM_MAX_BATCH), and what a lane holds (ENGRAM_LANE_NORMAL_MAX); medians of the repetitions',
      'the front (Pareto): no other setting is better in one of rate, p99 and memory, and as good in the others',
      `best: production, the highest rate for the latency; low-latency, the lowest p99; high-throughput, the highest rate; resource-constrained, the least memory at ${ENOUGH * 100} % of the best rate or more`,
      'p99: from when an entry was due until it was searchable, an open loop in the same process',
    ],
    data: { rows: vectors.count, spaces, perSecond, outcomes, samples },
  };
}

function bestOf(outcomes: readonly Setting[]): Readonly<Record<string, Setting>> {
  const most = (value: (outcome: Setting) => number, among = outcomes): Setting =>
    among.reduce((best, outcome) => (value(outcome) > value(best) ? outcome : best));
  const highest = most(({ rate }) => rate);
  const enough = outcomes.filter(({ rate }) => rate >= ENOUGH * highest.rate);
  return {
    production: most(({ rate, p99Ms }) => rate / p99Ms),
    'low-latency': most(({ p99Ms }) => -p99Ms),
    'high-throughput': highest,
    'resource-constrained': most(({ memoryBytes }) => -memoryBytes, enough),
  };
}

function textOf({ workers, maxBatch, lane }: Settings): string {
  return `${workers}, ${maxBatch}, ${lane.toLocaleString('en-US')}`;
}
