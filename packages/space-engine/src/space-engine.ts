// The index of one space on one shard: a pure function of the log entries applied to it.
//
//   E1. For each id the entry with the highest sequence wins, in whatever order entries come, however
//       often: so replay, redelivery and two owners at once end in the same index.
//   E2. An applied entry is seen by the next recall: rows that are not in a graph yet (the fresh tier)
//       are scanned exactly.
//   E3. One bad observation is refused with its reason and takes nothing else with it.
//   E4. A recall as of a snapshot sees nothing newer and, while the snapshot is kept, nothing less.
//
// One thread uses an engine. Graph building, sealing and merging go on beside it, begun by whoever
// runs the thread (upkeep.ts).

import { isUtf8 } from 'node:buffer';
import { itemError, observationFault, type Frame, type ObservationFault } from '@engram/codec';
import {
  ClusterError,
  type ItemError,
  type Lane,
  type Metric,
  type Predicate,
  type SpaceConfig,
} from '@engram/model';
import { norm } from '@engram/vector-index';
import { FilterCache } from './filter-matches.ts';
import { hitPages, type Hit } from './hit-pages.ts';
import { IdHash } from './id-hash.ts';
import { idPages, type ListedId } from './id-pages.ts';
import { IdTable } from './id-table.ts';
import type { EngineOptions } from './options.ts';
import { nearest } from './recall.ts';
import { Retention } from './retention.ts';
import type { StoredObservation } from './segment.ts';
import { SegmentSet } from './segment-set.ts';
import type { MemorySegment } from './memory-segment.ts';
import { SealedSegment } from './sealed-segment.ts';
import { sequenceOf, stampOf, type Snapshot } from './stamp.ts';

export interface ApplyResult {
  readonly applied: number;
  /** Entries that a later one had already overtaken, or that were applied before. */
  readonly stale: number;
  readonly errors: readonly ItemError[];
}

export interface RecallQuery {
  /** As long as the space's dimension. */
  readonly embedding: Float32Array;
  readonly k: number;
  /** Breadth of the graph search; at least k. */
  readonly ef?: number;
  /** Every observation is scored, whatever the graphs propose. */
  readonly exact?: boolean;
  /** The predicate and the text that names it: equal texts mean equal predicates. */
  readonly filter?: { readonly key: string; readonly predicate: Predicate };
  /** Nothing newer is seen. */
  readonly asOf?: Snapshot;
}

export interface SpaceStats {
  readonly count: number;
  /** Observations that a graph search finds, or that need no graph. */
  readonly indexed: number;
  readonly tombstones: number;
  readonly segments: number;
  /** Private memory. */
  readonly bytes: number;
  /** Of that what graphs have, outside of JavaScript; the rest lies in array buffers. */
  readonly graphBytes: number;
  /** Of the page cache, for mapped graphs; given back when memory is short. */
  readonly mappedBytes: number;
  readonly diskBytes: number;
}

/** Reaches recall@10 ≥ 0.95 on 100-d words with the default graph (bench/README.md). */
const EF_DEFAULT = 128;

/** Of a row that equals the query, with what rounding takes of it; inner products have no best. */
const BEST_RANK: Readonly<Record<Metric, number>> = { cosine: 1 - 1e-6, l2: 0, ip: Infinity };

export class SpaceEngine {
  readonly config: SpaceConfig;
  readonly options: EngineOptions;
  /** For the upkeep of this engine only. */
  readonly segments: SegmentSet;
  readonly ids: IdTable;
  readonly retention: Retention;
  /** Deleted ids with the stamp of the delete, for entries that come later but are older. */
  readonly tombstones: Map<string, number>;
  readonly #filters = new FilterCache();
  readonly #hash = new IdHash();
  #completeTo: number;
  #changes = 0;

  constructor(
    config: SpaceConfig,
    options: EngineOptions,
    state: {
      readonly segments: SegmentSet;
      readonly ids: IdTable;
      readonly retention: Retention;
      readonly tombstones: Map<string, number>;
      readonly completeTo: number;
    } = {
      segments: new SegmentSet(config),
      ids: new IdTable(),
      retention: new Retention(options.snapshotKeepMs),
      tombstones: new Map(),
      completeTo: 0,
    },
  ) {
    this.config = config;
    this.options = options;
    this.segments = state.segments;
    this.ids = state.ids;
    this.retention = state.retention;
    this.tombstones = state.tombstones;
    this.#completeTo = state.completeTo;
  }

  get count(): number {
    return this.ids.size;
  }

  /** Everything up to here was applied; what comes again from there is stale. */
  get completeTo(): number {
    return this.#completeTo;
  }

  /** Entries that changed something. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether rows are to be put into graphs. */
  get needsGraph(): boolean {
    const { sealed, memory } = this.segments;
    if (sealed.length > 0 || this.ids.size >= this.options.graphThreshold) return true;
    return memory.some(
      ({ graph, stored }) =>
        graph !== undefined || stored.storedBytes >= this.options.segmentBytesMax,
    );
  }

  /** Rows that wait for a graph. */
  get backlog(): number {
    if (!this.needsGraph) return 0;
    return this.segments.memory.reduce(
      (sum, { backlog, isSpent }) => (isSpent ? sum : sum + backlog),
      0,
    );
  }

  get stats(): SpaceStats {
    const { sealed, memory } = this.segments;
    let [bytes, graphBytes] = [this.ids.bytes, 0];
    for (const segment of [...sealed, ...memory]) {
      bytes += segment.bytes;
      graphBytes += segment.graph?.bytes ?? 0;
    }
    return {
      count: this.count,
      indexed: Math.max(0, this.count - this.backlog),
      tombstones: this.tombstones.size,
      segments: sealed.length + memory.filter(({ rows }) => rows > 0).length,
      bytes,
      graphBytes,
      mappedBytes: sealed.reduce((sum, { mappedBytes }) => sum + mappedBytes, 0),
      diskBytes: sealed.reduce((sum, { file, graphFile }) => sum + file.bytes + graphFile.bytes, 0),
    };
  }

  /**
   * Applies one entry of the log; all of it is seen by the next recall.
   * @param deletesOnly memory is at its limit: embeddings are left out, and the entry comes again
   */
  apply(frame: Frame, sequence: number, lane: Lane, deletesOnly = false): ApplyResult {
    const items = frame.putCount + frame.deleteCount;
    if (sequence <= this.config.afterSequence || sequence <= this.#completeTo)
      return { applied: 0, stale: items, errors: [] };
    const stamp = stampOf(sequence, lane);
    this.retention.note(sequence, lane);
    const errors: ItemError[] = [];
    const segment = this.segments.growing;
    const firstRow = segment.rows;
    let applied = 0;
    for (let index = 0; !deletesOnly && index < frame.putCount; index++) {
      const fault = this.#put(frame, index, stamp, segment, firstRow);
      if (fault === 'stale') continue;
      if (fault === undefined) applied++;
      else errors.push(itemError(frame, index, fault));
    }
    for (let index = frame.putCount; index < items; index++)
      if (this.#delete(frame, index, stamp)) applied++;
    if (applied > 0) this.#changes++;
    return { applied, stale: items - applied - errors.length, errors };
  }

  get(id: string): StoredObservation | undefined {
    const text = Buffer.from(id, 'utf8');
    this.#hash.of(text, 0, text.length);
    const slot = this.#find(text, 0, text.length);
    if (slot < 0) return undefined;
    return this.segments.get(this.ids.segment(slot)).read(this.ids.row(slot));
  }

  /**
   * The nearest observations, best first and those of one score by id; fewer than k only when fewer
   * match.
   * @throws ClusterError POSITION_EXPIRED when rows of the snapshot are gone
   */
  async recall(query: RecallQuery): Promise<Hit[]> {
    const pages = this.recallPages(query, Infinity);
    const { value = [] } = await pages.next();
    await pages.return(undefined);
    return value;
  }

  /**
   * The same in pages of about so many bytes, read as they are asked for. The search is done once, at
   * the first page: observations that die later are still given, and none comes twice. Segments are
   * kept until the generator ends, returns or throws.
   * @throws ClusterError POSITION_EXPIRED when rows of the snapshot are gone
   */
  async *recallPages(query: RecallQuery, pageBytes: number): AsyncGenerator<Hit[], undefined> {
    const { metric, dimension } = this.config;
    const { embedding, k, exact = false, filter, asOf } = query;
    const { pace } = this.options;
    const requireWhole = () => {
      if (asOf !== undefined && !this.retention.isWhole(asOf)) throw expired();
    };
    requireWhole();
    const asked = { embedding, norm: metric === 'cosine' ? norm(embedding, 0, dimension) : 1 };
    const pin = this.segments.pin();
    try {
      const found = await nearest(() => this.segments.all, asked, {
        k,
        ef: Math.max(query.ef ?? EF_DEFAULT, k),
        exact,
        bestRank: BEST_RANK[metric],
        ...(filter === undefined ? {} : { filter }),
        ...(asOf === undefined ? {} : { asOf }),
        cache: this.#filters,
        pace,
      });
      requireWhole();
      yield* hitPages(found, { metric, k, pageBytes, pace });
    } finally {
      pin.release();
    }
  }

  /**
   * Every id that the snapshot sees with its sequence, in pages of about so many bytes. All of it is of
   * the moment of the first page, so the snapshot must be applied by then. Unlike a recall it does not
   * refuse a snapshot that has an entry without what overtook it: that id may be missing or an older one.
   * @throws ClusterError POSITION_EXPIRED when rows of the snapshot are gone
   */
  async *idPages(asOf: Snapshot, pageBytes: number): AsyncGenerator<ListedId[], undefined> {
    if (!this.retention.isKept(asOf)) throw expired();
    const pin = this.segments.pin();
    try {
      yield* idPages(pin.segments, asOf, { pageBytes, pace: this.options.pace });
    } finally {
      pin.release();
    }
    return undefined;
  }

  /** Everything up to this sequence is applied, and nothing older can come any more. */
  complete(upTo: number): void {
    if (upTo <= this.#completeTo) return;
    this.#completeTo = upTo;
    for (const [id, stamp] of this.tombstones)
      if (sequenceOf(stamp) <= upTo) {
        this.tombstones.delete(id);
        this.retention.forgotten(stamp);
      }
  }

  #put(
    frame: Frame,
    index: number,
    stamp: number,
    segment: MemorySegment,
    firstRow: number,
  ): ObservationFault | 'stale' | undefined {
    const fault = observationFault(frame, index, this.config);
    if (fault !== undefined) return fault;
    const { text } = frame;
    const idStart = frame.idStart(index);
    const idEnd = frame.idStart(index + 1);
    this.#hash.of(text, idStart, idEnd);
    const slot = this.#find(text, idStart, idEnd);
    if (slot >= 0) {
      const before = this.segments.get(this.ids.segment(slot));
      const row = this.ids.row(slot);
      const current = before.stamp(row);
      if (current === stamp && before === segment && row >= firstRow)
        return { code: 'DUPLICATE_ID', detail: 'the id stands earlier in the batch' };
      if (current >= stamp) return this.#stale(stamp, current);
      this.#kill(before, row, stamp);
    } else {
      const id = this.tombstones.size > 0 ? frame.id(index) : undefined;
      const deleted = id === undefined ? undefined : this.tombstones.get(id);
      if (deleted === undefined) this.retention.appeared(stamp);
      else if (deleted > stamp) return this.#stale(stamp, deleted);
      else {
        this.retention.replaced(deleted, stamp);
        this.tombstones.delete(id!);
      }
    }
    const { high: hashHigh, low: hashLow } = this.#hash;
    const row = segment.append({
      slab: frame.embeddings,
      offset: index * this.config.dimension,
      text,
      idStart,
      idEnd,
      metadataStart: frame.metadataStart(index),
      metadataEnd: frame.metadataStart(index + 1),
      stamp,
      timestamp: frame.timestamps[index]!,
      hashHigh,
      hashLow,
    });
    if (slot >= 0) this.ids.move(slot, segment.number, row);
    else this.ids.add(hashHigh, hashLow, segment.number, row);
    return undefined;
  }

  #delete(frame: Frame, index: number, stamp: number): boolean {
    const id = frame.id(index);
    const start = frame.idStart(index);
    const end = frame.idStart(index + 1);
    // Its text would be that of another id: nothing can have been put under it.
    if (!isUtf8(frame.text.subarray(start, end))) return false;
    this.#hash.of(frame.text, start, end);
    const slot = this.#find(frame.text, start, end);
    const segment = slot < 0 ? undefined : this.segments.get(this.ids.segment(slot));
    const row = slot < 0 ? 0 : this.ids.row(slot);
    const current = Math.max(segment?.stamp(row) ?? 0, this.tombstones.get(id) ?? 0);
    if (current > stamp) this.#stale(stamp, current);
    if (current > stamp || this.tombstones.get(id) === stamp) return false;
    if (segment === undefined && current > 0) this.retention.replaced(current, stamp);
    if (current === 0) this.retention.appeared(stamp);
    this.tombstones.set(id, stamp);
    if (segment === undefined) return true;
    this.ids.remove(slot);
    this.#kill(segment, row, stamp);
    return true;
  }

  #stale(stamp: number, by: number): 'stale' {
    this.retention.overtaken(stamp, by);
    return 'stale';
  }

  #kill(segment: ReturnType<SegmentSet['get']>, row: number, stamp: number): void {
    this.retention.replaced(segment.stamp(row), stamp);
    if (segment instanceof SealedSegment) segment.deaths.kill(row, stamp);
    else (segment as MemorySegment).kill(row, stamp);
  }

  /** The slot of the id that was hashed last, or -1. */
  #find(text: Uint8Array, start: number, end: number): number {
    const { high, low } = this.#hash;
    for (let slot = this.ids.first(high, low); slot >= 0; slot = this.ids.next(slot, high, low))
      if (this.segments.get(this.ids.segment(slot)).isId(this.ids.row(slot), text, start, end))
        return slot;
    return -1;
  }
}

function expired(): ClusterError {
  return new ClusterError('POSITION_EXPIRED', 'the snapshot is older than what is still kept', {
    pointer: '/asOf',
    hint: 'take the watermark of a recall that is younger than a minute',
  });
}
