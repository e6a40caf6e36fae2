// The index of one space on one shard: a pure function of the log entries applied to it.
//
//   E1. For each id the entry with the highest sequence wins, in whatever order entries come, however
//       often: so replay, redelivery and two owners at once end in the same index.
//   E2. An applied entry is seen by the next recall: rows that are not in the graph yet (the fresh
//       tier) are scanned exactly.
//   E3. One bad observation is refused with its reason and takes nothing else with it.

import { embeddingFault, isTimestamp, metadataTextFault, type Frame } from '@engram/codec';
import {
  observationIdFault,
  type ErrorCode,
  type ItemError,
  type Metadata,
  type Predicate,
  type SpaceConfig,
} from '@engram/model';
import {
  dot,
  norm,
  publicScore,
  squaredDistance,
  TopK,
  type GraphFactory,
  type GraphIndex,
} from '@engram/vector-index';
import { RowStore } from './row-store.ts';

export interface ApplyResult {
  readonly applied: number;
  /** Entries that a later one had already overtaken. */
  readonly stale: number;
  readonly errors: readonly ItemError[];
}

export interface RecallQuery {
  /** As long as the space's dimension. */
  readonly embedding: Float32Array;
  readonly k: number;
  /** Breadth of the graph search; at least k. */
  readonly ef?: number;
  readonly filter?: Predicate;
}

export interface StoredObservation {
  readonly id: string;
  readonly sequence: number;
  /** A view, valid until the next apply. */
  readonly embedding: Float32Array;
  /** JSON text. */
  readonly metadata: string | undefined;
  /** Milliseconds since 1970, or NaN. */
  readonly timestamp: number;
}

export interface Hit extends StoredObservation {
  /** Cosine similarity, inner product, or for l2 the Euclidean distance. */
  readonly score: number;
}

export interface SpaceStats {
  readonly count: number;
  /** Observations that a graph search finds, or that need no graph. */
  readonly indexed: number;
  readonly tombstones: number;
  readonly bytes: number;
}

/** Reaches recall@10 ≥ 0.95 on 100-d words with the default graph (bench/README.md). */
const EF_DEFAULT = 128;
/** More candidates when a filter will take some away; beyond that the exact scan decides. */
const FILTER_EXPANSION = 4;

export interface EngineThresholds {
  /** Below this many rows an exact scan is as fast as a graph, and exact. */
  readonly graphRowsMin: number;
  /** Fewer dead rows than this are not worth a rebuild. */
  readonly compactionDeadMin: number;
}

const THRESHOLDS: EngineThresholds = { graphRowsMin: 2_000, compactionDeadMin: 4_096 };

export class SpaceEngine {
  readonly config: SpaceConfig;
  readonly #makeGraph: GraphFactory;
  readonly #thresholds: EngineThresholds;
  readonly #rowOf = new Map<string, number>();
  /** Deleted ids with the sequence of the delete, for entries that come later but are older. */
  readonly #tombstones = new Map<string, number>();
  #rows: RowStore;
  #graph: GraphIndex | undefined;
  /** Rows below this are in the graph (or dead); those from here on are the fresh tier. */
  #graphedTo = 0;

  constructor(config: SpaceConfig, makeGraph: GraphFactory, thresholds = THRESHOLDS) {
    this.config = config;
    this.#makeGraph = makeGraph;
    this.#thresholds = thresholds;
    this.#rows = new RowStore(config.dimension);
  }

  get stats(): SpaceStats {
    const graphBytes =
      (this.#graph?.size ?? 0) * (this.config.dimension * 4 + this.config.m * 2 * 4 + 32);
    return {
      count: this.#rows.liveCount,
      indexed: this.isIndexed ? this.#rows.liveCount : (this.#graph?.size ?? 0),
      tombstones: this.#tombstones.size,
      bytes: this.#rows.bytes + graphBytes,
    };
  }

  /** No row waits for the graph. */
  get isIndexed(): boolean {
    return !this.#needsGraph || this.#graphedTo === this.#rows.count;
  }

  /** Applies one entry of the log; all of it is seen by the next recall. */
  apply(frame: Frame, sequence: number): ApplyResult {
    if (sequence <= this.config.afterSequence)
      return { applied: 0, stale: frame.putCount + frame.deleteCount, errors: [] };
    const errors: ItemError[] = [];
    let applied = 0;
    const { dimension } = this.config;
    const isWrongDimension = frame.putCount > 0 && frame.dimension !== dimension;
    for (let index = 0; index < frame.putCount; index++) {
      const fault: Fault | 'stale' | undefined = isWrongDimension
        ? {
            code: 'DIMENSION_MISMATCH',
            detail: `the frame has ${frame.dimension} values an embedding, the space takes ${dimension}`,
          }
        : this.#put(frame, index, sequence);
      if (fault === 'stale') continue;
      if (fault === undefined) applied++;
      else errors.push(itemError(frame, index, fault));
    }
    for (let index = 0; index < frame.deleteCount; index++)
      if (this.#delete(frame.id(frame.putCount + index), sequence)) applied++;
    this.#compact();
    const stale = frame.putCount + frame.deleteCount - applied - errors.length;
    return { applied, stale, errors };
  }

  get(id: string): StoredObservation | undefined {
    const row = this.#rowOf.get(id);
    return row === undefined ? undefined : this.#observation(row);
  }

  /** The nearest observations, best first; fewer than k only when fewer match. */
  recall(query: RecallQuery): Hit[] {
    const { metric } = this.config;
    const queryNorm = metric === 'cosine' ? norm(query.embedding, 0, this.config.dimension) : 1;
    const found =
      (query.filter === undefined ? undefined : this.#recallFiltered(query, queryNorm)) ??
      this.#search(query, queryNorm, query.k);
    return found.map(({ row, score }) => ({
      ...this.#observation(row),
      score: publicScore(metric, score),
    }));
  }

  /**
   * Moves rows from the fresh tier into the graph until `shouldStop` says so.
   * @returns whether more rows wait
   */
  buildGraph(shouldStop: () => boolean): boolean {
    if (!this.#needsGraph) return false;
    this.#graph ??= this.#makeGraph(this.config, this.#rows.count * 2);
    while (this.#graphedTo < this.#rows.count) {
      const row = this.#graphedTo++;
      if (!this.#rows.isAlive(row)) continue;
      this.#graph.put(row, this.#rows.embedding(row));
      if (shouldStop()) break;
    }
    return this.#graphedTo < this.#rows.count;
  }

  /** Forgets deletes that no entry can come after any more. */
  pruneTombstones(watermark: number): void {
    for (const [id, sequence] of this.#tombstones)
      if (sequence <= watermark) this.#tombstones.delete(id);
  }

  get #needsGraph(): boolean {
    return this.#graph !== undefined || this.#rows.liveCount >= this.#thresholds.graphRowsMin;
  }

  #put(frame: Frame, index: number, sequence: number): Fault | 'stale' | undefined {
    const { dimension, metric } = this.config;
    const id = frame.id(index);
    const idFault = observationIdFault(id);
    if (idFault !== undefined) return { code: 'INVALID_ID', detail: idFault };
    const offset = index * dimension;
    const fault = embeddingFault(frame.embeddings, offset, dimension, metric);
    if (fault !== undefined) return fault;
    const metadata = frame.metadata(index);
    const metadataFault = metadata === undefined ? undefined : metadataTextFault(metadata);
    if (metadataFault !== undefined) return { code: 'INVALID_METADATA', detail: metadataFault };
    const timestamp = frame.timestamps[index]!;
    if (!Number.isNaN(timestamp) && !isTimestamp(timestamp))
      return { code: 'INVALID_TIMESTAMP', detail: 'it must be an integer of milliseconds' };
    const before = this.#rowOf.get(id);
    if (before !== undefined) {
      const current = this.#rows.sequence(before);
      // An entry comes here once (the partition skips what it has seen), so its own sequence on the
      // row means that the id stood earlier in this very batch.
      if (current === sequence)
        return { code: 'DUPLICATE_ID', detail: 'the id stands earlier in the batch' };
      if (current > sequence) return 'stale';
    } else if ((this.#tombstones.get(id) ?? 0) > sequence) return 'stale';
    if (before !== undefined) this.#kill(before);
    this.#tombstones.delete(id);
    const row = this.#rows.append({
      id,
      slab: frame.embeddings,
      offset,
      norm: norm(frame.embeddings, offset, dimension),
      sequence,
      timestamp,
      metadata,
    });
    this.#rowOf.set(id, row);
    return undefined;
  }

  #delete(id: string, sequence: number): boolean {
    const row = this.#rowOf.get(id);
    if (row !== undefined && this.#rows.sequence(row) > sequence) return false;
    if ((this.#tombstones.get(id) ?? 0) >= sequence) return false;
    this.#tombstones.set(id, sequence);
    if (row === undefined) return true;
    this.#rowOf.delete(id);
    this.#kill(row);
    return true;
  }

  #kill(row: number): void {
    this.#rows.kill(row);
    if (row < this.#graphedTo) this.#graph?.remove(row);
  }

  /** Rows that pass the filter among the nearest; undefined when too few of those pass. */
  #recallFiltered(query: RecallQuery, queryNorm: number): Scored[] {
    const { filter, k } = query;
    const passes = (row: number) => filter!(this.#parsedMetadata(row));
    if (this.#graph !== undefined) {
      const count = Math.max(query.ef ?? EF_DEFAULT, k * FILTER_EXPANSION);
      const found = this.#search(query, queryNorm, count).filter(({ row }) => passes(row));
      if (found.length >= k) return found.slice(0, k);
    }
    const best = new TopK(k);
    for (let row = 0; row < this.#rows.count; row++)
      if (this.#rows.isAlive(row) && passes(row))
        best.offer(row, this.#rank(query.embedding, queryNorm, row));
    return best.drain();
  }

  #search(query: RecallQuery, queryNorm: number, count: number): Scored[] {
    const best = new TopK(count);
    const { embedding } = query;
    let scanFrom = this.#graphedTo;
    if (this.#graph !== undefined) {
      const ef = Math.max(query.ef ?? EF_DEFAULT, count);
      const near = this.#graph.search(embedding, count, ef);
      // Rows behind many equal ones can be out of the graph's reach: then the exact scan decides.
      if (near.length < Math.min(count, this.#graph.size)) scanFrom = 0;
      else
        for (const row of near)
          if (this.#rows.isAlive(row)) best.offer(row, this.#rank(embedding, queryNorm, row));
    }
    for (let row = scanFrom; row < this.#rows.count; row++)
      if (this.#rows.isAlive(row)) best.offer(row, this.#rank(embedding, queryNorm, row)); // E2
    return best.drain();
  }

  /** The order of rows: higher is nearer. */
  #rank(query: Float32Array, queryNorm: number, row: number): number {
    const { dimension, metric } = this.config;
    const slab = this.#rows.slab(row);
    const offset = this.#rows.offset(row);
    switch (metric) {
      case 'ip':
        return dot(slab, offset, query, dimension);
      case 'l2':
        return -squaredDistance(slab, offset, query, dimension);
      case 'cosine':
        return dot(slab, offset, query, dimension) / (queryNorm * this.#rows.norm(row));
    }
  }

  #observation(row: number): StoredObservation {
    const rows = this.#rows;
    return {
      id: rows.id(row),
      sequence: rows.sequence(row),
      embedding: rows.embedding(row),
      metadata: rows.metadata(row),
      timestamp: rows.timestamp(row),
    };
  }

  #parsedMetadata(row: number): Metadata | undefined {
    const text = this.#rows.metadata(row);
    return text === undefined ? undefined : (JSON.parse(text) as Metadata);
  }

  /** Leaves the dead behind when they outnumber the living; the graph is then built anew. */
  #compact(): void {
    const old = this.#rows;
    if (old.deadCount < Math.max(this.#thresholds.compactionDeadMin, old.liveCount)) return;
    this.#rows = new RowStore(this.config.dimension);
    for (let row = 0; row < old.count; row++) {
      if (!old.isAlive(row)) continue;
      const moved = this.#rows.append({
        id: old.id(row),
        slab: old.slab(row),
        offset: old.offset(row),
        norm: old.norm(row),
        sequence: old.sequence(row),
        timestamp: old.timestamp(row),
        metadata: old.metadata(row),
      });
      this.#rowOf.set(old.id(row), moved);
    }
    this.#graph = undefined;
    this.#graphedTo = 0;
  }
}

interface Scored {
  readonly row: number;
  readonly score: number;
}

interface Fault {
  readonly code: ErrorCode;
  readonly detail: string;
}

function itemError(frame: Frame, index: number, { code, detail }: Fault): ItemError {
  const id = frame.id(index);
  const isPrintable = observationIdFault(id) === undefined;
  return { index, ...(isPrintable ? { id } : {}), code, detail };
}
