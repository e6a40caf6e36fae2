import assert from 'node:assert/strict';
import type { SpaceConfig } from '@engram/model';
import { rank, scan, type Encoding, type GraphEngine, type GraphIndex } from '@engram/vector-index';
import { Deaths } from './deaths.ts';
import { rowsAStep } from './graph-step.ts';
import { MemoryRows, type NewRow } from './memory-rows.ts';
import { sampledEncoding } from './sampled-encoding.ts';
import { observationOf, type Query, type Segment, type StoredObservation } from './segment.ts';
import { sequenceOf } from './stamp.ts';

/** A sample smaller than this says little of how components are spread. */
const SAMPLE_MIN = 256;
/** A graph is begun again when as many rows reach beyond its encoding, and this share of all. */
const CLIPPED_MIN = 64;
const CLIPPED_SHARE = 1 / 16;
/** Where fewer of its rows live, a segment is worth no graph, … */
const SPENT_SHARE = 1 / 16;
/** … and those of a block are looked at one by one. */
const SPARSE_SHARE = 1 / 4;
/** Where more of its rows than this die in a second, it will be spent before its graph is of use. */
const DYING_SHARE_PER_S = 1 / 20;
/** How far rows are in a graph. */
interface Built {
  graph: GraphIndex | undefined;
  encoding: Encoding | undefined;
  graphedTo: number;
  /** Rows at which the graph was begun again last. */
  begunAgainAt: number;
}

/** A growing segment: rows in memory, of which the first ones are in a graph. */
export class MemorySegment implements Segment {
  readonly number: number;
  readonly deaths: Deaths;
  readonly #config: SpaceConfig;
  readonly #stored: MemoryRows;
  /** Dead rows of each block: so many more the scan of a block must bring. */
  #deadInBlock = new Uint32Array(1);
  /** Shared with the segment that it was split from, while that is read. */
  readonly #built: Built;
  #isSplit = false;
  #isDying = false;
  #looked: { readonly atMs: number; readonly dead: number } | undefined;
  #oldest = Infinity;

  constructor(
    number: number,
    config: SpaceConfig,
    stored = new MemoryRows(config.dimension),
    built: Built = { graph: undefined, encoding: undefined, graphedTo: 0, begunAgainAt: 0 },
  ) {
    this.number = number;
    this.#config = config;
    this.deaths = new Deaths();
    this.#stored = stored;
    this.#built = built;
    for (let row = 0; row < stored.count; row++) this.#note(stored.records.stamp(row));
  }

  get rows(): number {
    return this.#stored.count;
  }

  get oldest(): number {
    return this.#oldest;
  }

  get stored(): MemoryRows {
    return this.#stored;
  }

  get graph(): GraphIndex | undefined {
    return this.#built.graph;
  }

  get encoding(): Encoding | undefined {
    return this.#built.encoding;
  }

  get graphedTo(): number {
    return this.#built.graphedTo;
  }

  get backlog(): number {
    return this.rows - this.graphedTo;
  }

  /**
   * Hardly any of its rows lives, as where ids are written again and again: a graph would be one of the dead.
   * It waits until those may be removed.
   */
  get isSpent(): boolean {
    return this.rows - this.deaths.count < this.rows * SPENT_SHARE;
  }

  /** Its rows died so fast between the last two looks that it will be spent soon. */
  get isDying(): boolean {
    return this.#isDying;
  }

  /** To be called now and then: how many of its rows died meanwhile? */
  look(nowMs: number): void {
    const { count: dead } = this.deaths;
    const before = this.#looked ?? { atMs: nowMs, dead };
    const seconds = (nowMs - before.atMs) / 1_000;
    this.#isDying = dead - before.dead > this.rows * seconds * DYING_SHARE_PER_S;
    this.#looked = { atMs: nowMs, dead };
  }

  get bytes(): number {
    return (
      this.#stored.bytes +
      this.deaths.bytes +
      this.#deadInBlock.byteLength +
      (this.graph?.bytes ?? 0)
    );
  }

  append(row: NewRow): number {
    this.#note(row.stamp);
    return this.#stored.append(row);
  }

  kill(row: number, stamp: number): void {
    if (this.deaths.isAlive(row)) {
      const block = this.#stored.blockOf(row);
      if (block >= this.#deadInBlock.length) {
        const grown = new Uint32Array(Math.max(block + 1, this.#deadInBlock.length * 2));
        grown.set(this.#deadInBlock);
        this.#deadInBlock = grown;
      }
      this.#deadInBlock[block]!++;
    }
    this.deaths.kill(row, stamp);
  }

  stamp(row: number): number {
    return this.#stored.records.stamp(row);
  }

  isId(row: number, text: Uint8Array, start: number, end: number): boolean {
    const from = this.#stored.textStart(row);
    if (this.#stored.records.idEnd(row) - from !== end - start) return false;
    const own = this.#stored.textBuffer;
    for (let i = start, j = from; i < end; i++, j++) if (text[i] !== own[j]) return false;
    return true;
  }

  rank(row: number, { embedding, norm }: Query): number {
    const { metric, dimension } = this.#config;
    const rows = this.#stored;
    return rank(metric, rows.slab(row), rows.offset(row), embedding, norm, dimension);
  }

  scan({ embedding }: Query, count: number, offer: (row: number) => void): void {
    const rows = this.#stored;
    const { metric } = this.#config;
    for (let block = rows.blockOf(this.graphedTo); block < rows.blocks.length; block++) {
      const first = block * rows.blockRows;
      const inBlock = rows.rowsInBlock(block);
      if (inBlock <= 0) break;
      const dead = this.#deadInBlock[block] ?? 0;
      if (dead === inBlock) continue;
      if (inBlock - dead < inBlock * SPARSE_SHARE) {
        for (let row = Math.max(first, this.graphedTo); row < first + inBlock; row++)
          if (this.deaths.isAlive(row)) offer(row);
        continue;
      }
      // The dead and the graphed of a block may stand before those that are wanted.
      const skipped = dead + Math.max(0, this.graphedTo - first);
      for (const near of scan(rows.blocks[block]!, inBlock, embedding, count + skipped, metric))
        if (first + near >= this.graphedTo) offer(first + near);
    }
  }

  read(row: number): StoredObservation {
    const rows = this.#stored;
    const { records } = rows;
    const from = rows.textStart(row);
    const text = rows.textBuffer.subarray(from, records.textEnd(row));
    const offset = rows.offset(row);
    return observationOf(
      records.stamp(row),
      records.timestamp(row),
      rows.slab(row).slice(offset, offset + this.#config.dimension),
      Buffer.from(text.buffer, text.byteOffset, text.length),
      records.idEnd(row) - from,
    );
  }

  forEachMetadata(
    from: number,
    to: number,
    visit: (row: number, text: string | undefined) => void,
  ): void {
    const { records, textBuffer } = this.#stored;
    const text = Buffer.from(textBuffer.buffer, textBuffer.byteOffset, textBuffer.length);
    for (let row = from; row < to; row++) {
      const start = records.idEnd(row);
      const end = records.textEnd(row);
      visit(row, start === end ? undefined : text.toString('utf8', start, end));
    }
  }

  forEachId(
    from: number,
    to: number,
    visit: (row: number, id: string, stamp: number) => void,
  ): void {
    const { records, textBuffer } = this.#stored;
    const text = Buffer.from(textBuffer.buffer, textBuffer.byteOffset, textBuffer.length);
    for (let row = from; row < to; row++) {
      const id = text.toString('utf8', this.#stored.textStart(row), records.idEnd(row));
      visit(row, id, records.stamp(row));
    }
  }

  /**
   * Puts rows into the graph until none waits or `shouldStop`, asked after each step, says so.
   * @param encoding for a graph that begins with too few rows to tell; undefined where none is known
   */
  buildGraph(engine: GraphEngine, encoding: Encoding | undefined, shouldStop: () => boolean): void {
    const rows = this.#stored;
    const { dimension } = this.#config;
    const built = this.#built;
    if (built.graph === undefined) {
      built.encoding =
        encoding !== undefined && rows.count < SAMPLE_MIN ? encoding : this.#sampledEncoding();
      built.graph = engine.create(this.#config, built.encoding, rows.count * 2);
    }
    const step = rowsAStep(dimension);
    while (built.graphedTo < rows.count) {
      const row = built.graphedTo;
      const slab = rows.slab(row);
      const offset = rows.offset(row);
      const inSlab = Math.min(slab.length - offset, (rows.count - row) * dimension) / dimension;
      const count = Math.min(step, Math.floor(inSlab));
      // All rows, also the dead: a snapshot may still see them, and a graph's rows have no gaps.
      built.graph.add(row, slab.subarray(offset, offset + count * dimension), count);
      built.graphedTo += count;
      if (this.#isOutgrown(built.graph)) {
        this.#beginAgain();
        return;
      }
      if (shouldStop()) return;
    }
  }

  /** Rows have come that are so unlike the first ones that the graph does not tell them apart. */
  #isOutgrown({ clippedRows }: GraphIndex): boolean {
    const { graphedTo, begunAgainAt } = this.#built;
    return (
      clippedRows >= CLIPPED_MIN &&
      clippedRows >= graphedTo * CLIPPED_SHARE &&
      this.rows >= begunAgainAt * 2
    );
  }

  #beginAgain(): void {
    const built = this.#built;
    built.graph?.close();
    built.graph = undefined;
    built.graphedTo = 0;
    built.begunAgainAt = this.rows;
  }

  #sampledEncoding(): Encoding {
    const rows = this.#stored;
    const { dimension } = this.#config;
    return sampledEncoding(rows.count, this.#config, (row, into) => {
      const offset = rows.offset(row);
      into.set(rows.slab(row).subarray(offset, offset + dimension));
    });
  }

  /** First block with no row in the graph, after at least half of what waits. */
  get splitBlock(): number {
    return this.#stored.blockOf(this.graphedTo + (this.backlog >> 1)) + 1;
  }

  /**
   * Two segments in this one's place: the rows before a block, with the graph and the number, and the
   * rows from it on, none of them in the graph. This one stays as it is for recalls that read it.
   */
  split(block: number, number: number): [MemorySegment, MemorySegment] {
    const from = block * this.#stored.blockRows;
    assert(from >= this.graphedTo, 'rows of the graph stay with it');
    const [before, after] = this.#stored.split(block);
    const head = new MemorySegment(this.number, this.#config, before, this.#built);
    const tail = new MemorySegment(number, this.#config, after);
    this.deaths.forEach((row, stamp) => {
      if (row < from) head.kill(row, stamp);
      else tail.kill(row - from, stamp);
    });
    this.#isSplit = true;
    return [head, tail];
  }

  #note(stamp: number): void {
    const sequence = sequenceOf(stamp);
    if (sequence < this.#oldest) this.#oldest = sequence;
  }

  close(): void {
    if (this.#isSplit) return;
    this.#built.graph?.close();
    this.#built.graph = undefined;
    this.#stored.release();
  }
}
