import { freeBuffers } from './free-buffers.ts';
import { RECORD_BYTES, RowRecords } from './row-records.ts';
import type { RowColumns } from './rows-file.ts';
import { spareBlocks } from './spare-blocks.ts';

/** Floats of a full block, 1 MiB: a scan of one takes about 0.1 ms, and its call costs 4 µs. */
const BLOCK_FLOATS = 262_144;
const FIRST_ROWS = 16;

/** One row to append; the ranges are copied. */
export interface NewRow {
  readonly slab: Float32Array;
  readonly offset: number;
  readonly text: Uint8Array;
  readonly idStart: number;
  readonly idEnd: number;
  readonly metadataStart: number;
  readonly metadataEnd: number;
  readonly stamp: number;
  readonly timestamp: number;
  readonly hashHigh: number;
  readonly hashLow: number;
}

/**
 * Rows of one space in append order, in typed arrays: nothing is kept on the JavaScript heap for a
 * row. Embeddings lie in blocks that each begin at the first byte of their buffer, as the SIMD scan
 * wants them. A first block grows from 16 rows, so a small space is small.
 */
export class MemoryRows {
  readonly dimension: number;
  /** Rows of a full block: a power of two, so that a row's place is a shift and a mask. */
  readonly blockRows: number;
  readonly #shift: number;
  readonly #blocks: Float32Array<ArrayBuffer>[] = [];
  #records = RowRecords.ofCapacity(FIRST_ROWS);
  #text: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_ROWS * 16);
  #count = 0;

  constructor(dimension: number) {
    this.dimension = dimension;
    this.#shift = Math.max(4, Math.floor(Math.log2(BLOCK_FLOATS / dimension)));
    this.blockRows = 1 << this.#shift;
  }

  get count(): number {
    return this.#count;
  }

  get blocks(): readonly Float32Array<ArrayBuffer>[] {
    return this.#blocks;
  }

  get records(): RowRecords {
    return this.#records;
  }

  get textBytes(): number {
    return this.#count === 0 ? 0 : this.#records.textEnd(this.#count - 1);
  }

  get text(): Uint8Array {
    return this.#text.subarray(0, this.textBytes);
  }

  /** What the rows hold, without room to grow. */
  get storedBytes(): number {
    return this.#count * (this.dimension * 4 + RECORD_BYTES) + this.textBytes;
  }

  /** What they take of the process's memory. */
  get bytes(): number {
    const embeddings = this.#blocks.reduce((sum, block) => sum + block.byteLength, 0);
    return embeddings + this.#records.bytes.length + this.#text.length;
  }

  append(row: NewRow): number {
    const number = this.#count;
    const block = this.#blockFor(number);
    const { dimension } = this;
    block.set(row.slab.subarray(row.offset, row.offset + dimension), this.offset(number));
    const idEnd = this.#write(row.text, row.idStart, row.idEnd, this.textBytes);
    const textEnd = this.#write(row.text, row.metadataStart, row.metadataEnd, idEnd);
    if (number === this.#records.capacity)
      this.#records = this.#records.resized(number * 2, number);
    const { stamp, timestamp, hashHigh, hashLow } = row;
    this.#records.set(number, stamp, timestamp, hashHigh, hashLow, idEnd, textEnd);
    this.#count++;
    return number;
  }

  /** Appends a row of other rows. */
  copyFrom(source: MemoryRows, row: number): number {
    const { records } = source;
    return this.append({
      slab: source.slab(row),
      offset: source.offset(row),
      text: source.textBuffer,
      idStart: source.textStart(row),
      idEnd: records.idEnd(row),
      metadataStart: records.idEnd(row),
      metadataEnd: records.textEnd(row),
      stamp: records.stamp(row),
      timestamp: records.timestamp(row),
      hashHigh: records.hashHigh(row),
      hashLow: records.hashLow(row),
    });
  }

  /**
   * The rows before a block, and those from it on, as rows of their own; embeddings are not copied.
   * Nothing may be appended to these or the former ones afterwards.
   */
  split(block: number): [MemoryRows, MemoryRows] {
    const from = block * this.blockRows;
    const { records } = this;
    const head = new MemoryRows(this.dimension);
    head.#blocks.push(...this.#blocks.slice(0, block));
    head.#text = this.#text;
    head.#records = records;
    head.#count = from;
    const tail = new MemoryRows(this.dimension);
    const textBase = this.textStart(from);
    tail.#blocks.push(...this.#blocks.slice(block));
    tail.#text = this.text.slice(textBase);
    tail.#records = this.#recordsFrom(from, textBase, Math.max(FIRST_ROWS, this.#count - from));
    tail.#count = this.#count - from;
    return [head, tail];
  }

  /**
   * The rows from one on as the columns of a file. They stay as they are while rows are appended, as
   * long as nothing is released.
   */
  columns(from: number): RowColumns {
    const { dimension, blockRows } = this;
    const to = this.#count;
    const textBase = from === to ? this.textBytes : this.textStart(from);
    const embeddings: Uint8Array[] = [];
    for (let row = from; row < to;) {
      const end = Math.min(to, (this.blockOf(row) + 1) * blockRows);
      const bytesAt = this.offset(row) * 4;
      embeddings.push(new Uint8Array(this.slab(row).buffer, bytesAt, (end - row) * dimension * 4));
      row = end;
    }
    const records =
      from === 0
        ? this.#records.bytes.subarray(0, to * RECORD_BYTES)
        : this.#recordsFrom(from, textBase, to - from).bytes.subarray(
            0,
            (to - from) * RECORD_BYTES,
          );
    return {
      dimension,
      rows: to - from,
      textBytes: this.textBytes - textBase,
      embeddings,
      records: [records],
      text: [this.#text.subarray(textBase, this.textBytes)],
    };
  }

  /** Copies of the records from a row on, for text that begins at `textBase`. */
  #recordsFrom(from: number, textBase: number, capacity: number): RowRecords {
    const { records } = this;
    const copies = RowRecords.ofCapacity(capacity);
    for (let row = from; row < this.#count; row++)
      copies.set(
        row - from,
        records.stamp(row),
        records.timestamp(row),
        records.hashHigh(row),
        records.hashLow(row),
        records.idEnd(row) - textBase,
        records.textEnd(row) - textBase,
      );
    return copies;
  }

  /** Rows of a block that are there. */
  rowsInBlock(block: number): number {
    return Math.min(this.blockRows, this.#count - block * this.blockRows);
  }

  blockOf(row: number): number {
    return row >> this.#shift;
  }

  slab(row: number): Float32Array {
    return this.#blocks[row >> this.#shift]!;
  }

  offset(row: number): number {
    return (row & (this.blockRows - 1)) * this.dimension;
  }

  textStart(row: number): number {
    return row === 0 ? 0 : this.#records.textEnd(row - 1);
  }

  /** A view of all text, valid until the next append. */
  get textBuffer(): Uint8Array {
    return this.#text;
  }

  /** Gives the memory back; nothing may be read any more. */
  release(): void {
    const full = this.blockRows * this.dimension;
    const freed = [this.#records.bytes.buffer, this.#text.buffer];
    for (const block of this.#blocks.splice(0))
      if (block.length === full) spareBlocks.giveBack(block);
      else freed.push(block.buffer);
    freeBuffers(freed);
    this.#records = RowRecords.ofCapacity(0);
    this.#text = new Uint8Array(0);
    this.#count = 0;
  }

  #blockFor(row: number): Float32Array {
    const index = row >> this.#shift;
    const block = this.#blocks[index];
    const needed = this.offset(row) + this.dimension;
    if (block !== undefined && block.length >= needed) return block;
    const full = this.blockRows * this.dimension;
    const size =
      index > 0
        ? full
        : Math.min(full, Math.max(FIRST_ROWS * this.dimension, (block?.length ?? 0) * 2));
    const grown = size === full ? spareBlocks.take(full) : new Float32Array(size);
    if (block !== undefined) grown.set(block);
    this.#blocks[index] = grown;
    return grown;
  }

  #write(source: Uint8Array, start: number, end: number, at: number): number {
    const length = end - start;
    if (at + length > this.#text.length) {
      const grown = new Uint8Array(Math.max(at + length, this.#text.length * 2));
      grown.set(this.#text.subarray(0, at));
      this.#text = grown;
    }
    this.#text.set(source.subarray(start, end), at);
    return at + length;
  }
}
