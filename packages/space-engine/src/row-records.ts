// What is known of a row beside its embedding, in 32 bytes that are the same in memory and on disk:
//
//   0  f64  stamp of the entry that wrote it
//   8  f64  timestamp, milliseconds since 1970 or NaN
//  16  u32  high half of the id's hash
//  20  u32  low half
//  24  u32  end of its id in the segment's text; it begins where the row before ends
//  28  u32  end of its metadata, which follows the id; empty means none

export const RECORD_BYTES = 32;
const F64 = RECORD_BYTES / 8;
const U32 = RECORD_BYTES / 4;

/** Records of consecutive rows, over any bytes that hold them. */
export class RowRecords {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;

  /** @param buffer whole records, from its first byte on */
  constructor(buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#words = new Uint32Array(buffer);
  }

  static ofCapacity(rows: number): RowRecords {
    return new RowRecords(new ArrayBuffer(rows * RECORD_BYTES));
  }

  get capacity(): number {
    return this.bytes.length / RECORD_BYTES;
  }

  stamp(row: number): number {
    return this.#doubles[row * F64]!;
  }

  timestamp(row: number): number {
    return this.#doubles[row * F64 + 1]!;
  }

  hashHigh(row: number): number {
    return this.#words[row * U32 + 4]!;
  }

  hashLow(row: number): number {
    return this.#words[row * U32 + 5]!;
  }

  idEnd(row: number): number {
    return this.#words[row * U32 + 6]!;
  }

  textEnd(row: number): number {
    return this.#words[row * U32 + 7]!;
  }

  set(
    row: number,
    stamp: number,
    timestamp: number,
    hashHigh: number,
    hashLow: number,
    idEnd: number,
    textEnd: number,
  ): void {
    this.#doubles[row * F64] = stamp;
    this.#doubles[row * F64 + 1] = timestamp;
    const word = row * U32;
    this.#words[word + 4] = hashHigh;
    this.#words[word + 5] = hashLow;
    this.#words[word + 6] = idEnd;
    this.#words[word + 7] = textEnd;
  }

  /** A copy with room for `rows`, holding the first `count`. */
  resized(rows: number, count: number): RowRecords {
    const copy = RowRecords.ofCapacity(rows);
    copy.bytes.set(this.bytes.subarray(0, count * RECORD_BYTES));
    return copy;
  }
}
