// The graph alone, in this process: the numbers behind the cluster's choices for it.

import { asArrays, BareGraph, EF_DEFAULT, GRAPH, type BareRecall } from '../bare-graph.ts';
import { exactNearest, loadDataset, QUERY_COUNT, readFirst, type Dataset } from '../dataset.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';

const BREADTHS = [64, 96, 128, 192];
/** Labels that are put again; enough to average over, few enough that the graph stays the same. */
const AGAIN = 500;

export const graph: Group = {
  name: 'graph',
  title: 'hnswlib-node alone: inserts, updates, and recall by breadth of search',
  run,
};

interface Repetition {
  /** All words into an empty graph. */
  readonly insertMs: number;
  /** The last AGAIN of them, when the graph has its size. */
  readonly insertLastMs: number;
  /** AGAIN labels put again with the embedding they have. */
  readonly samePutMs: number;
  /** AGAIN labels put again with another word's embedding. */
  readonly movedPutMs: number;
  readonly recallByBreadth: readonly BareRecall[];
  readonly recallAfterSame: number;
  readonly recallAfterMoved: number;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { words: count, signal, progress } = context;
  progress(`reading ${count} words`);
  const dataset = await loadDataset(count, signal);
  const moved = await movedDataset(dataset, signal);
  const repetitions: Repetition[] = [];
  for (let index = 0; index < context.repetitions; index++) {
    progress(`repetition ${index + 1} of ${context.repetitions}`);
    repetitions.push(await repeat(dataset, moved, signal));
  }
  return report(count, repetitions);
}

/** The first AGAIN words get the embeddings of words that are neither imported nor asked for. */
async function movedDataset(dataset: Dataset, signal: AbortSignal): Promise<Dataset> {
  const { words, queries } = dataset;
  const others = (await readFirst(words.length + QUERY_COUNT + AGAIN)).slice(-AGAIN);
  const changed = words.map((each, index) => {
    const other = others[index];
    return other === undefined ? each : { word: each.word, embedding: other.embedding };
  });
  return { words: changed, queries, nearest: await exactNearest(changed, queries, signal) };
}

async function repeat(dataset: Dataset, moved: Dataset, signal: AbortSignal): Promise<Repetition> {
  const arrays = asArrays(dataset.words);
  const index = new BareGraph(arrays.length);
  const firstMs = await index.put(arrays.slice(0, -AGAIN), 0, signal);
  const insertLastMs = await index.put(arrays.slice(-AGAIN), arrays.length - AGAIN, signal);
  const recallByBreadth = BREADTHS.map((ef) => index.measureRecall(dataset, ef));
  const samePutMs = await index.put(arrays.slice(0, AGAIN), 0, signal);
  const recallAfterSame = index.measureRecall(dataset, EF_DEFAULT).recall;
  const movedPutMs = await index.put(asArrays(moved.words.slice(0, AGAIN)), 0, signal);
  const recallAfterMoved = index.measureRecall(moved, EF_DEFAULT).recall;
  return {
    insertMs: firstMs + insertLastMs,
    insertLastMs,
    samePutMs,
    movedPutMs,
    recallByBreadth,
    recallAfterSame,
    recallAfterMoved,
  };
}

function report(words: number, repetitions: readonly Repetition[]): GroupReport {
  const before = (each: Repetition): number =>
    each.recallByBreadth[BREADTHS.indexOf(EF_DEFAULT)]!.recall;
  const row = (
    what: string,
    count: number,
    msOf: (each: Repetition) => number,
    recallOf: (each: Repetition) => number,
  ): string[] => [
    what,
    formatSpread(
      repetitions.map((each) => (count * 1_000) / msOf(each)),
      formatRate,
    ),
    formatSpread(
      repetitions.map((each) => msOf(each) / count / (each.insertLastMs / AGAIN)),
      formatRatio,
    ),
    formatSpread(repetitions.map(recallOf), formatRecall),
  ];
  const searches = BREADTHS.map((ef, at) => {
    const measured = repetitions.map((each) => each.recallByBreadth[at]!);
    return [
      String(ef),
      formatSpread(
        measured.map(({ recall }) => recall),
        formatRecall,
      ),
      formatSpread(
        measured.map(({ tookMs }) => (QUERY_COUNT * 1_000) / tookMs),
        formatRate,
      ),
      formatSpread(
        measured.map(({ tookMs }) => tookMs / QUERY_COUNT),
        (ms) => (ms < 1 ? ms.toFixed(3) : formatMs(ms)),
      ),
    ];
  });
  const { metric, m, efConstruction } = GRAPH;
  return {
    tables: [
      {
        title: `${words} words of 100 dimensions, ${metric}, m ${m}, efConstruction ${efConstruction}`,
        head: ['put', 'per second', 'time against an insert', `recall@10 after, ef ${EF_DEFAULT}`],
        rows: [
          row('all words into an empty graph', words, (each) => each.insertMs, before),
          row(`the last ${AGAIN} of them`, AGAIN, (each) => each.insertLastMs, before),
          row(
            `${AGAIN} labels again, same embedding`,
            AGAIN,
            (each) => each.samePutMs,
            (each) => each.recallAfterSame,
          ),
          row(
            `${AGAIN} labels again, another embedding`,
            AGAIN,
            (each) => each.movedPutMs,
            (each) => each.recallAfterMoved,
          ),
        ],
      },
      {
        title: `${QUERY_COUNT} words that were not inserted, k 10, against an exact scan`,
        head: ['ef', 'recall@10', 'searches per second', 'milliseconds each'],
        rows: searches,
      },
    ],
    notes: [
      'median (min–max) of the repetitions; one thread, and no cluster of this command beside it',
      `"an insert" is one of the last ${AGAIN}, into a graph of the size that the updates meet`,
      'one seed and one order, so repetitions build the same graph: recall has no spread of its own',
    ],
    figures: [
      {
        name: 'a label put again with another embedding, of an insert',
        unit: '×',
        better: 'lower',
        samples: repetitions.map(({ movedPutMs, insertLastMs }) => movedPutMs / insertLastMs),
      },
    ],
    data: {
      graph: GRAPH,
      again: AGAIN,
      queries: QUERY_COUNT,
      breadths: BREADTHS,
      samples: repetitions,
    },
  };
}
