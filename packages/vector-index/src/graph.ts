import type { SpaceOptions } from '@engram/model';
import type { Encoding } from './encoding.ts';

/** What a space chose for its graphs. */
export type GraphOptions = Pick<
  SpaceOptions,
  'dimension' | 'metric' | 'engine' | 'quantization' | 'm' | 'efConstruction'
>;

/**
 * An approximate nearest-neighbour graph over numbered rows: the port that every engine implements
 * and `conformance.ts` describes. It proposes candidates: who owns the rows keeps their embeddings,
 * knows which of them are deleted, and scores what is proposed. One thread uses one graph.
 */
export interface GraphIndex {
  /** Rows in the graph. */
  readonly size: number;
  /** Opened from a file by mapping: its vectors and links are the page cache's memory. */
  readonly isMapped: boolean;
  /** Rows that reach beyond what the encoding was made for, and are found less well for it. */
  readonly clippedRows: number;
  /** Estimated private memory in bytes; of a mapped graph, its tables of pointers. */
  readonly bytes: number;
  /**
   * Inserts the rows `firstRow` to `firstRow + count - 1`. `vectors` holds their float32 embeddings
   * one after another from element 0; it is read, not kept. Rows come in ascending order, each once,
   * with finite components only. Not for an opened graph.
   */
  add(firstRow: number, vectors: Float32Array, count: number): void;
  /**
   * Up to `breadth` rows near the query, nearest first by the graph's own (quantised) distance. The
   * breadth is also how far the search looks around (HNSW's ef).
   */
  search(query: Float32Array, breadth: number): Uint32Array;
  /** Writes the graph to exactly that path, synchronously and without fsync. Not for an opened graph. */
  save(path: string): void;
  /** Gives the memory back now rather than at some garbage collection; nothing else may follow. */
  close(): void;
}

/**
 * `encoding` of both is what `encodingOf` says for a sample of the rows; a saved graph is opened with
 * the one that it was made with.
 */
export interface GraphEngine {
  /** @param capacity rows that are expected; the graph grows beyond them */
  create(options: GraphOptions, encoding: Encoding, capacity: number): GraphIndex;
  /**
   * Opens a saved graph, read only, memory mapped where the engine can. The caller has verified the
   * file's checksum: only the file's shape is looked at here.
   * @throws ClusterError SEGMENT_DAMAGED when the file cannot be opened or is no graph of these
   *   options and this many rows
   */
  open(path: string, options: GraphOptions, encoding: Encoding, rows: number): GraphIndex;
}
