import { setImmediate as turn } from 'node:timers/promises';
import { WORD_DIMENSION, type Word } from '@engram/demo';
import hnswlib from 'hnswlib-node';
import { K, recallOf, type Dataset } from './dataset.ts';
import { mean } from './samples.ts';

/** The cluster's own defaults (packages/model/src/space.ts). */
export const GRAPH = { metric: 'cosine', m: 16, efConstruction: 64 } as const;
/** The cluster's default of a recall (packages/space-engine). */
export const EF_DEFAULT = 128;
/** As packages/vector-index sets it, so that both build the same graph from the same order. */
const SEED = 100;
/** Between two looks at the signal; some ten milliseconds of work. */
const INSERTS_A_TURN = 100;

/** hnswlib-node and nothing around it: what the cluster is compared with. */
export class BareGraph {
  readonly #index: hnswlib.HierarchicalNSW;

  constructor(capacity: number) {
    this.#index = new hnswlib.HierarchicalNSW(GRAPH.metric, WORD_DIMENSION);
    const { m, efConstruction } = GRAPH;
    this.#index.initIndex({ maxElements: capacity, m, efConstruction, randomSeed: SEED });
  }

  /** Puts each embedding under its label; a label that is there already is moved. */
  async put(
    embeddings: readonly (readonly number[])[],
    firstLabel: number,
    signal: AbortSignal,
  ): Promise<number> {
    const startedAt = performance.now();
    for (const [offset, embedding] of embeddings.entries()) {
      if (offset % INSERTS_A_TURN === 0) await turn(undefined, { signal });
      this.#index.addPoint(embedding as number[], firstLabel + offset);
    }
    return performance.now() - startedAt;
  }

  /** recall@10 over all queries, and how long the searches took together. */
  measureRecall({ words, queries, nearest }: Dataset, ef: number): BareRecall {
    this.#index.setEf(ef);
    const arrays = queries.map((query) => Array.from(query));
    const startedAt = performance.now();
    const found = arrays.map((query) => this.#index.searchKnn(query, K).neighbors);
    const tookMs = performance.now() - startedAt;
    const recall = mean(
      found.map((labels, query) =>
        recallOf(
          labels.map((label) => words[label]!.word),
          nearest[query]!,
        ),
      ),
    );
    return { recall, tookMs };
  }
}

export interface BareRecall {
  readonly recall: number;
  readonly tookMs: number;
}

/** The binding takes arrays of numbers; the conversion is not part of what is timed. */
export function asArrays(words: readonly Word[]): readonly (readonly number[])[] {
  return words.map(({ embedding }) => Array.from(embedding));
}
