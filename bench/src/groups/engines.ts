// The native engines behind the port, and hnswlib-node as it is: what a space's defaults stand on.

import { setImmediate as turn } from 'node:timers/promises';
import hnswlib from 'hnswlib-node';
import { parseSpaceOptions, type SpaceOptions } from '@engram/model';
import {
  GRAPH_ENGINES,
  norm,
  encodingOf,
  rank,
  scan,
  TopK,
  type GraphIndex,
} from '@engram/vector-index';
import { K } from '../dataset.ts';
import type { Figure } from '../figures/figure.ts';
import type { Group, GroupContext, GroupReport, ReportTable } from '../group.ts';
import { formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { clustered, rowRecall, words, type Vectors } from '../vectors.ts';

const RECALL_MIN = 0.95;
const BREADTHS = [16, 32, 64, 96, 128, 192, 256];
const EF_CONSTRUCTIONS = [24, 32, 48, 64];
/** As a recall scores them again (packages/space-engine/src/recall.ts). */
const RESCORED = Math.ceil(K * 1.5) + 24;
const SCAN_ROWS = [1_000, 2_000, 4_000, 8_000];
const SCAN_REPEATS = 50;

export const engines: Group = {
  name: 'engines',
  title: 'native engines: inserts a second and core, each tuned to recall@10 of 0.95',
  run,
};

interface Measured {
  readonly insertsPerSecond: number;
  /** Narrowest search that reaches RECALL_MIN; undefined where none does. */
  readonly breadth: number | undefined;
  readonly recall: number;
  readonly searchMicros: number;
}

interface Candidate {
  readonly name: string;
  readonly measure: (
    vectors: Vectors,
    efConstruction: number,
    signal: AbortSignal,
  ) => Promise<Measured>;
}

const CANDIDATES: readonly Candidate[] = [
  { name: 'hnswlib-node, called bare', measure: measureHnswlib },
  ...(['i8', 'bf16', 'f16', 'f32'] as const).map((quantization) => ({
    name: `usearch ${quantization}`,
    measure: (vectors: Vectors, efConstruction: number, signal: AbortSignal) =>
      measurePort(
        vectors,
        parseSpaceOptions({ dimension: vectors.dimension, quantization, efConstruction }),
        signal,
      ),
  })),
];

async function run(context: GroupContext): Promise<GroupReport> {
  const { signal, isQuick, progress, repetitions } = context;
  const sets = [
    await clustered(isQuick ? 4_000 : 10_000, 768, signal),
    await words(isQuick ? 8_000 : 30_000, signal),
  ];
  const tables: ReportTable[] = [];
  const figures: Figure[] = [];
  const data: Record<string, object> = {};
  for (const vectors of sets) {
    const samples = new Map<string, Measured[]>();
    for (let repetition = 0; repetition < repetitions; repetition++)
      // The candidates of one efConstruction stand beside each other in time.
      for (const efConstruction of EF_CONSTRUCTIONS)
        for (const { name, measure } of CANDIDATES) {
          progress(`${vectors.name}, ${name}, efConstruction ${efConstruction}`);
          const key = `${name}|${efConstruction}`;
          samples.set(key, [
            ...(samples.get(key) ?? []),
            await measure(vectors, efConstruction, signal),
          ]);
        }
    tables.push(insertTable(vectors, samples), tunedTable(vectors, samples, repetitions));
    for (const { name } of CANDIDATES.slice(1))
      figures.push({
        name: `${name} tuned, of hnswlib-node: ${vectors.name}`,
        unit: '×',
        better: 'higher',
        samples: Array.from(
          { length: repetitions },
          (_, i) => tuned(samples, name, i) / tuned(samples, CANDIDATES[0]!.name, i),
        ),
      });
    tables.push(await scanTable(vectors, signal));
    data[vectors.name] = Object.fromEntries(samples);
  }
  return {
    tables,
    notes: [
      'one thread; recall@10 of 200 queries against an exact scan, candidates re-scored exactly as a recall does',
      'tuned: of all efConstruction that reach 0.95 at a breadth (ef) of at most 256, the fastest inserts',
      'hnswlib-node: as it is installed here (a local checkout compiles it with -march=native, ADDON_BUILD=portable as npm does)',
    ],
    figures,
    data,
  };
}

function insertTable(vectors: Vectors, samples: ReadonlyMap<string, Measured[]>): ReportTable {
  const rows = [...samples].map(([key, measured]) => {
    const [name, efConstruction] = key.split('|') as [string, string];
    const [{ breadth }] = measured as [Measured];
    return [
      name,
      efConstruction,
      formatSpread(
        measured.map((each) => each.insertsPerSecond),
        formatRate,
      ),
      breadth === undefined ? `below at ${BREADTHS.at(-1)}` : String(breadth),
      formatRecall(measured[0]!.recall),
      formatSpread(
        measured.map((each) => each.searchMicros),
        (micros) => micros.toFixed(0),
      ),
    ];
  });
  return {
    title: `${vectors.count} × ${vectors.name}`,
    head: ['engine', 'efConstruction', 'inserts/s', 'ef for 0.95', 'recall@10', 'µs a search'],
    rows,
  };
}

function tunedTable(
  vectors: Vectors,
  samples: ReadonlyMap<string, Measured[]>,
  repetitions: number,
): ReportTable {
  const best = (name: string, repetition: number) => tuned(samples, name, repetition);
  const all = Array.from({ length: repetitions }, (_, repetition) => repetition);
  const base = CANDIDATES[0]!.name;
  return {
    title: `${vectors.name}: each tuned to recall@10 ≥ ${RECALL_MIN} (goal for the default, usearch i8: ${vectors.dimension > 500 ? 3 : 1.5})`,
    head: ['engine', 'inserts/s', 'ratio to hnswlib-node'],
    rows: CANDIDATES.map(({ name }) => [
      name,
      formatSpread(
        all.map((repetition) => best(name, repetition)),
        formatRate,
      ),
      formatSpread(
        all.map((repetition) => best(name, repetition) / best(base, repetition)),
        formatRatio,
      ),
    ]),
  };
}

/** Inserts a second with the fastest efConstruction that reaches the recall@10. */
function tuned(samples: ReadonlyMap<string, Measured[]>, name: string, repetition: number): number {
  return Math.max(
    ...EF_CONSTRUCTIONS.map((efConstruction) => {
      const measured = samples.get(`${name}|${efConstruction}`)![repetition]!;
      return measured.breadth === undefined ? 0 : measured.insertsPerSecond;
    }),
  );
}

/** From how many rows on a graph is faster than an exact scan of all. */
async function scanTable(vectors: Vectors, signal: AbortSignal): Promise<ReportTable> {
  const { dimension, slab } = vectors;
  const options = parseSpaceOptions({ dimension });
  const rows: string[][] = [];
  for (const count of SCAN_ROWS.filter((each) => each <= vectors.count)) {
    const encoding = encodingOf(slab, count, options);
    const graph = GRAPH_ENGINES[options.engine].create(options, encoding, count);
    graph.add(0, slab, count);
    const part = slab.slice(0, count * dimension);
    const micros = (search: (query: Float32Array) => unknown): string => {
      const startedAt = performance.now();
      for (let i = 0; i < SCAN_REPEATS; i++) search(vectors.queries[i % vectors.queries.length]!);
      return (((performance.now() - startedAt) * 1_000) / SCAN_REPEATS).toFixed(0);
    };
    rows.push([
      String(count),
      micros((query) => scan(part, count, query, K, 'cosine')),
      micros((query) => rescored(vectors, query, graph.search(query, 128))),
    ]);
    graph.close();
    await turn(undefined, { signal });
  }
  return {
    title: `${vectors.name}: the exact scan of all rows against the default graph at ef 128`,
    head: ['rows', 'scan, µs', 'graph and re-scoring, µs'],
    rows,
  };
}

async function measurePort(
  vectors: Vectors,
  options: SpaceOptions,
  signal: AbortSignal,
): Promise<Measured> {
  const { dimension, count, slab } = vectors;
  const encoding = encodingOf(slab, count, options);
  const graph = GRAPH_ENGINES[options.engine].create(options, encoding, count);
  const startedAt = performance.now();
  let spentMs = 0;
  for (let row = 0; row < count; row += 100) {
    const rows = Math.min(100, count - row);
    graph.add(row, slab.subarray(row * dimension, (row + rows) * dimension), rows);
    if (row % 2_000 !== 0) continue;
    const pausedAt = performance.now();
    await turn(undefined, { signal });
    spentMs += performance.now() - pausedAt;
  }
  const tookMs = performance.now() - startedAt - spentMs;
  const found = narrowest(vectors, (query, breadth) =>
    rescored(vectors, query, graph.search(query, Math.max(breadth, K))),
  );
  graph.close();
  return { insertsPerSecond: (count * 1_000) / tookMs, ...found };
}

function rescored(
  { slab, dimension }: Vectors,
  query: Float32Array,
  rows: ReturnType<GraphIndex['search']>,
): number[] {
  const best = new TopK(K);
  const queryNorm = norm(query, 0, dimension);
  for (const row of rows.subarray(0, RESCORED))
    best.offer(row, rank('cosine', slab, row * dimension, query, queryNorm, dimension));
  return best.drain().map(({ row }) => row);
}

async function measureHnswlib(
  vectors: Vectors,
  efConstruction: number,
  signal: AbortSignal,
): Promise<Measured> {
  const { dimension, count, slab } = vectors;
  const index = new hnswlib.HierarchicalNSW('ip', dimension);
  index.initIndex({ maxElements: count, m: 16, efConstruction, randomSeed: 100 });
  let tookMs = 0;
  for (let row = 0; row < count; row++) {
    // The conversion is its caller's to pay, but not this comparison's.
    const array = Array.from(slab.subarray(row * dimension, (row + 1) * dimension));
    const startedAt = performance.now();
    index.addPoint(array, row);
    tookMs += performance.now() - startedAt;
    if (row % 1_000 === 0) await turn(undefined, { signal });
  }
  const found = narrowest(vectors, (query, breadth) => {
    index.setEf(breadth);
    return index.searchKnn(Array.from(query), K).neighbors;
  });
  return { insertsPerSecond: (count * 1_000) / tookMs, ...found };
}

function narrowest(
  vectors: Vectors,
  search: (query: Float32Array, breadth: number) => Iterable<number>,
): Omit<Measured, 'insertsPerSecond'> {
  let recall = 0;
  let searchMicros = 0;
  for (const breadth of BREADTHS) {
    const startedAt = performance.now();
    const answers = vectors.queries.map((query) => search(query, breadth));
    searchMicros = ((performance.now() - startedAt) * 1_000) / answers.length;
    recall =
      answers.reduce((sum, rows, query) => sum + rowRecall(vectors, query, rows), 0) /
      answers.length;
    if (recall >= RECALL_MIN) return { breadth, recall, searchMicros };
  }
  return { breadth: undefined, recall, searchMicros };
}
