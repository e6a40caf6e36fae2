import type { SpaceOptions } from '@engram/model';

/**
 * An approximate nearest-neighbour graph over numbered rows: the port that every engine implements
 * and `conformance.ts` describes. It keeps vectors of its own; who owns the rows re-scores what it
 * finds. One thread uses one graph.
 */
export interface GraphIndex {
  /** Rows in the graph that were not removed. */
  readonly size: number;
  /**
   * Inserts a row that was never in the graph. The array is read, not kept. A changed embedding gets
   * a new row: moving one inside an HNSW graph took 6 times as long as an insert (bench/README.md).
   */
  put(row: number, embedding: Float32Array): void;
  /** Takes a row out; unknown rows are ignored. */
  remove(row: number): void;
  /** Up to `count` rows near the query, in no promised order. */
  search(query: Float32Array, count: number, ef: number): readonly number[];
}

export type GraphFactory = (options: SpaceOptions, rowsExpected: number) => GraphIndex;
