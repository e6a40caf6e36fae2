// The shard's engine alone, without NATS or Redis: how fast rows become searchable and get into graphs,
// beside the bare native engine in as many threads, and what recalls feel of it.

import { setTimeout as pause } from 'node:timers/promises';
import { build, type Histogram } from 'hdr-histogram-js';
import type { PartitionId, SpaceConfig } from '@engram/model';
import { quantizationScale } from '@engram/vector-index';
import { K } from '../dataset.ts';
import { bareInsertMs } from '../engine/bare-threads.ts';
import {
  engineRecall,
  FRAME_ROWS,
  framesOf,
  onEngine,
  spaceOf,
  type EngineRun,
  type Frame,
} from '../engine/fixture.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { clustered, type Vectors } from '../vectors.ts';

const DIMENSION = 768;
const ROWS = 40_000;
const RECALLS_PER_SECOND = 100;
/** Applied to each space before anything is timed that a cold process would not do. */
const WARM_ROWS = 2_000;
const WARM_GRAPH_ROWS = 5_000;

export const engine: Group = {
  name: 'engine',
  title: "the shard's engine alone: apply, graph building, recall under load",
  run,
};

interface Rates {
  readonly bareRate: number;
  readonly balanced: Built;
  readonly oneWorker: Built;
  readonly hot: Built;
  readonly applyRate: number;
  readonly applyP99Ms: number;
  readonly restMs: Latency;
  readonly busyMs: Latency;
  readonly busyRate: number;
}

interface Built {
  readonly searchableRate: number;
  readonly indexedRate: number;
  readonly recall: number;
  readonly stolen: number;
}

interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly count: number;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { signal, progress, isQuick } = context;
  progress(`making ${ROWS} vectors`);
  const rows = isQuick ? ROWS / 4 : ROWS;
  const vectors = await clustered(rows, DIMENSION, signal);
  const samples: Rates[] = [];
  for (let index = 0; index < context.repetitions; index++) {
    const tell = (what: string) =>
      progress(`${what}, repetition ${index + 1} of ${context.repetitions}`);
    tell('bare loop in two threads');
    const config = spaceOf('x', DIMENSION);
    const scale = quantizationScale(vectors.slab, rows, DIMENSION, 'cosine');
    const bareBeforeMs = await bareInsertMs(vectors, 2, { options: config, scale });
    tell('two workers, balanced spaces');
    const balanced = await built(2, vectors, 2);
    // The machine's speed drifts: what is compared stands in the middle of two measurements.
    tell('bare loop in two threads again');
    const bareMs =
      (bareBeforeMs + (await bareInsertMs(vectors, 2, { options: config, scale }))) / 2;
    tell('one worker');
    const oneWorker = await built(1, vectors, 2);
    tell('two workers, one hot space');
    const hot = await built(2, vectors, 1);
    tell('applying only');
    const applied = await applying(vectors);
    tell('queue half full');
    const applyP99Ms = await halfFull(vectors);
    tell('recalls');
    const recalls = await recalling(vectors, isQuick ? 2_000 : 8_000, signal);
    samples.push({
      bareRate: (rows * 1_000) / bareMs,
      balanced,
      oneWorker,
      hot,
      applyRate: applied,
      applyP99Ms,
      ...recalls,
    });
  }
  return report(rows, samples);
}

/** All rows, in equal shares for some spaces, until the last one is in a graph. */
function built(workers: number, vectors: Vectors, spaces: number): Promise<Built> {
  return onEngine(workers, async (run) => {
    const share = vectors.count / spaces;
    const configs = spacesOf(run, spaces);
    const frames = configs.map((_, i) => framesOf(vectors, i * share, (i + 1) * share));
    // Spaces of their own, large enough for a graph, so that no code is compiled while it is timed.
    const warm = framesOf(vectors, 0, WARM_GRAPH_ROWS);
    for (const config of spacesOf(run, workers + spaces).slice(spaces)) {
      await run.apply(config, warm);
      await run.engine.indexed(config);
    }
    const startedAt = performance.now();
    await Promise.all(configs.map((config, i) => run.apply(config, frames[i]!)));
    const searchableMs = performance.now() - startedAt;
    await Promise.all(configs.map((config) => run.engine.indexed(config)));
    const indexedMs = performance.now() - startedAt;
    const recall = spaces === 1 ? await engineRecall(run, configs[0]!, vectors) : NaN;
    return {
      searchableRate: (vectors.count * 1_000) / searchableMs,
      indexedRate: (vectors.count * 1_000) / indexedMs,
      recall,
      stolen: run.engine.assists.stolen,
    };
  });
}

/** Spaces that the engine's hash spreads evenly over its workers. */
function spacesOf({ engine: spread }: EngineRun, count: number): SpaceConfig[] {
  const spaces: SpaceConfig[] = [];
  for (let n = 0; spaces.length < count; n++) {
    const space = spaceOf(`bench-${n}`, DIMENSION);
    if (spread.workerOf(space.space) === spaces.length % spread.workers) spaces.push(space);
  }
  return spaces;
}

/** How fast rows become searchable, while nothing is put into graphs. */
function applying(vectors: Vectors): Promise<number> {
  return onEngine(
    2,
    async (run) => {
      const configs = spacesOf(run, 2);
      const rest = vectors.count - WARM_ROWS;
      const share = rest / 2;
      const frames = configs.map((_, i) =>
        framesOf(vectors, WARM_ROWS + i * share, WARM_ROWS + (i + 1) * share),
      );
      await Promise.all(
        configs.map((config) => run.apply(config, framesOf(vectors, 0, WARM_ROWS))),
      );
      const startedAt = performance.now();
      await Promise.all(configs.map((config, i) => run.apply(config, frames[i]!)));
      return (rest * 1_000) / (performance.now() - startedAt);
    },
    { graphThreshold: vectors.count * 2 },
  );
}

/** p99 from giving an entry to the engine until a recall sees it, the lane kept half full. */
function halfFull(vectors: Vectors): Promise<number> {
  return onEngine(2, async (run) => {
    const { engine } = run;
    const histogram = build({ numberOfSignificantValueDigits: 3 });
    const configs = spacesOf(run, 2);
    const capacity = engine.room('normal');
    const [warm, frames] = [framesOf(vectors, 0, WARM_ROWS), framesOf(vectors, WARM_ROWS)];
    // Code is compiled before the count begins, as in a shard that has run for a second.
    await Promise.all(configs.map((config) => run.apply(config, warm)));
    let sequence = 1_000_000;
    const pending = new Set<Promise<unknown>>();
    for (const [index, { bytes, rows }] of frames.entries()) {
      const isHalfFull = () => {
        const room = engine.room('normal');
        return room.observations <= capacity.observations / 2 || room.bytes <= capacity.bytes / 2;
      };
      while (isHalfFull()) await Promise.race(pending);
      const givenAt = performance.now();
      const applied = engine.apply({
        config: configs[index % configs.length]!,
        partition: 0 as PartitionId,
        lane: 'normal',
        sequence: ++sequence,
        kind: 'frame',
        bytes,
        observations: rows,
      })!;
      const timed: Promise<unknown> = applied.then(() => {
        histogram.recordValue(Math.max(1, Math.round((performance.now() - givenAt) * 1_000)));
        pending.delete(timed);
      });
      pending.add(timed);
    }
    await Promise.all(pending);
    return histogram.getValueAtPercentile(99) / 1_000;
  });
}

/** Recalls at fixed times, at rest and while rows come in as fast as graphs take them. */
function recalling(
  vectors: Vectors,
  durationMs: number,
  signal: AbortSignal,
): Promise<Pick<Rates, 'restMs' | 'busyMs' | 'busyRate'>> {
  return onEngine(2, async (run) => {
    const configs = spacesOf(run, 2);
    const half = Math.floor(vectors.count / 2 / FRAME_ROWS) * FRAME_ROWS;
    await loaded(run, configs, framesOf(vectors, 0, half));
    const restMs = await recallsDuring(
      run,
      configs,
      vectors,
      pause(durationMs, undefined, { signal }),
    );
    const frames = framesOf(vectors, half);
    const startedAt = performance.now();
    let rows = 0;
    const busy = (async () => {
      // As fast as graphs take them: the next frames come when few rows wait.
      for (let i = 0; i < frames.length && performance.now() - startedAt < durationMs; i += 4) {
        const some = frames.slice(i, i + 4);
        await Promise.all(some.map((frame, j) => run.apply(configs[j % 2]!, [frame])));
        rows += some.length * FRAME_ROWS;
        if (i % 16 === 0) await Promise.all(configs.map((config) => run.engine.indexed(config)));
      }
      await Promise.all(configs.map((config) => run.engine.indexed(config)));
    })();
    const busyMs = await recallsDuring(run, configs, vectors, busy);
    const busyRate = (rows * 1_000) / (performance.now() - startedAt);
    return { restMs, busyMs, busyRate };
  });
}

async function loaded(
  run: EngineRun,
  configs: readonly SpaceConfig[],
  frames: readonly Frame[],
): Promise<void> {
  const share = Math.ceil(frames.length / configs.length);
  await Promise.all(
    configs.map((config, i) => run.apply(config, frames.slice(i * share, (i + 1) * share))),
  );
  await Promise.all(configs.map((config) => run.engine.indexed(config)));
}

/** An open loop: the next recall is asked when it is due, whether the last one is answered or not. */
async function recallsDuring(
  { engine: asked }: EngineRun,
  configs: readonly SpaceConfig[],
  vectors: Vectors,
  until: Promise<unknown>,
): Promise<Latency> {
  const histogram: Histogram = build({ numberOfSignificantValueDigits: 3 });
  const pending: Promise<void>[] = [];
  let isOver = false;
  void until.finally(() => {
    isOver = true;
  });
  const startedAt = performance.now();
  for (let sent = 0; !isOver; sent++) {
    const dueAt = startedAt + (sent * 1_000) / RECALLS_PER_SECOND;
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await pause(waitMs);
    const embedding = vectors.queries[sent % vectors.queries.length]!;
    const config = configs[sent % configs.length]!;
    pending.push(
      asked.recall({ config, embedding, k: K, include: [] }).then(() => {
        histogram.recordValue(Math.max(1, Math.round((performance.now() - dueAt) * 1_000)));
      }),
    );
  }
  await until;
  await Promise.all(pending);
  return {
    p50Ms: histogram.getValueAtPercentile(50) / 1_000,
    p99Ms: histogram.getValueAtPercentile(99) / 1_000,
    count: histogram.totalCount,
  };
}

function report(rows: number, samples: readonly Rates[]): GroupReport {
  const over = (of: (sample: Rates) => number, format: (value: number) => string) =>
    formatSpread(samples.map(of), format);
  const built = (name: string, of: (sample: Rates) => Built, ratio: string): string[] => [
    name,
    over((sample) => of(sample).searchableRate, formatRate),
    over((sample) => of(sample).indexedRate, formatRate),
    ratio,
    samples.some((sample) => !Number.isNaN(of(sample).recall))
      ? over((sample) => of(sample).recall, formatRecall)
      : '',
    over((sample) => of(sample).stolen, String),
  ];
  const latency = (name: string, of: (sample: Rates) => Latency, ratio: string): string[] => [
    name,
    over((sample) => of(sample).p50Ms, formatMs),
    over((sample) => of(sample).p99Ms, formatMs),
    ratio,
    String(samples.reduce((sum, sample) => sum + of(sample).count, 0)),
  ];
  return {
    tables: [
      {
        title: `${rows} clustered rows of ${DIMENSION} dimensions, default space (usearch, i8, m 16, efConstruction 64)`,
        head: ['what', 'searchable/s', 'in graphs/s', 'ratio', 'recall@10', 'segments taken over'],
        rows: [
          ['bare usearch, 2 threads', '', over((s) => s.bareRate, formatRate), '1', '', ''],
          built(
            'engine, 2 workers, 2 spaces',
            (s) => s.balanced,
            `${over((s) => s.balanced.indexedRate / s.bareRate, formatRatio)} of bare (goal 0.9)`,
          ),
          built('engine, 1 worker, 2 spaces', (s) => s.oneWorker, ''),
          [
            '2 workers against 1',
            '',
            '',
            `${over((s) => s.balanced.indexedRate / s.oneWorker.indexedRate, formatRatio)} (goal 1.9)`,
            '',
            '',
          ],
          built(
            'engine, 2 workers, 1 hot space',
            (s) => s.hot,
            `${over((s) => s.hot.indexedRate / s.balanced.indexedRate, formatRatio)} of balanced (goal 0.9)`,
          ),
          [
            'engine, applying only',
            over((s) => s.applyRate, formatRate),
            '',
            'goal 100,000/s',
            '',
            '',
          ],
        ],
      },
      {
        title: `recalls, ${RECALLS_PER_SECOND} a second, k 10, milliseconds`,
        head: ['while', 'p50', 'p99', 'ratio of p99', 'recalls'],
        rows: [
          latency('at rest', (s) => s.restMs, '1'),
          latency(
            `${over((s) => s.busyRate, formatRate)} rows/s go into graphs`,
            (s) => s.busyMs,
            `${over((s) => s.busyMs.p99Ms / s.restMs.p99Ms, formatRatio)} (goal 3)`,
          ),
        ],
      },
      {
        title:
          'an entry of 80 rows, from giving it to the engine until it is searchable, lane half full',
        head: ['p99 ms', 'goal'],
        rows: [[over((s) => s.applyP99Ms, formatMs), '50']],
      },
    ],
    notes: [
      'the load generator shares the two cores with the engine and its main thread',
      `rates of graphs: after ${WARM_GRAPH_ROWS} rows in other spaces of the same workers, which are not timed; applying only, and the lane half full: after ${WARM_ROWS} rows`,
      'a ratio divides by the figure of its own repetition',
      'bare: the mean before and after the engine; rows quantised beforehand, one native call for each 64',
    ],
    figures: [
      {
        name: 'in graphs/s of two workers, of the bare engine in two threads',
        unit: '×',
        better: 'higher',
        samples: samples.map(({ balanced, bareRate }) => balanced.indexedRate / bareRate),
      },
      {
        name: 'in graphs/s of two workers, of one',
        unit: '×',
        better: 'higher',
        samples: samples.map(
          ({ balanced, oneWorker }) => balanced.indexedRate / oneWorker.indexedRate,
        ),
      },
      {
        name: 'recall p99 while rows come, of rest',
        unit: '×',
        better: 'lower',
        samples: samples.map(({ busyMs, restMs }) => busyMs.p99Ms / restMs.p99Ms),
      },
    ],
    data: { dimension: DIMENSION, rows, samples },
  };
}
