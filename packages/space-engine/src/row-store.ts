/** Rows of one space in append order; a row never changes, but it can die. */
export class RowStore {
  readonly dimension: number;
  /** A power of two, so that a row's place is a shift and a mask. */
  readonly #chunkShift: number;
  readonly #chunks: Float32Array[] = [];
  #norms = new Float32Array(0);
  #sequences = new Float64Array(0);
  #timestamps = new Float64Array(0);
  #isDead = new Uint8Array(0);
  readonly #ids: string[] = [];
  readonly #metadata: (string | undefined)[] = [];
  #textBytes = 0;
  #deadCount = 0;

  constructor(dimension: number) {
    this.dimension = dimension;
    // About 256 KiB a chunk: small enough for thousands of small spaces, large enough to amortise.
    this.#chunkShift = Math.max(4, Math.floor(Math.log2(65_536 / dimension)));
  }

  /** Rows ever appended; also the number of the next one. */
  get count(): number {
    return this.#ids.length;
  }

  get liveCount(): number {
    return this.#ids.length - this.#deadCount;
  }

  get deadCount(): number {
    return this.#deadCount;
  }

  /** What the rows take, estimated: JavaScript strings have two bytes a unit and a header. */
  get bytes(): number {
    const columns = this.#norms.length * (4 + 8 + 8 + 1);
    return (
      this.#chunks.length * this.dimension * 4 * (1 << this.#chunkShift) +
      columns +
      this.#textBytes * 2 +
      this.count * 48
    );
  }

  append(row: {
    readonly id: string;
    readonly slab: Float32Array;
    readonly offset: number;
    readonly norm: number;
    readonly sequence: number;
    readonly timestamp: number;
    readonly metadata: string | undefined;
  }): number {
    const number = this.count;
    if (number === this.#norms.length) this.#grow();
    const chunk = number >> this.#chunkShift;
    this.#chunks[chunk] ??= new Float32Array(this.dimension << this.#chunkShift);
    this.slab(number).set(
      row.slab.subarray(row.offset, row.offset + this.dimension),
      this.offset(number),
    );
    this.#norms[number] = row.norm;
    this.#sequences[number] = row.sequence;
    this.#timestamps[number] = row.timestamp;
    this.#ids.push(row.id);
    this.#metadata.push(row.metadata);
    this.#textBytes += row.id.length + (row.metadata?.length ?? 0);
    return number;
  }

  kill(row: number): void {
    if (this.#isDead[row] === 1) return;
    this.#isDead[row] = 1;
    this.#deadCount++;
    this.#textBytes -= this.#metadata[row]?.length ?? 0;
    this.#metadata[row] = undefined;
  }

  isAlive(row: number): boolean {
    return this.#isDead[row] === 0;
  }

  /** The array that holds a row's embedding, from `offset(row)` on. */
  slab(row: number): Float32Array {
    return this.#chunks[row >> this.#chunkShift]!;
  }

  offset(row: number): number {
    return (row & ((1 << this.#chunkShift) - 1)) * this.dimension;
  }

  /** A view of a row's embedding. */
  embedding(row: number): Float32Array {
    const offset = this.offset(row);
    return this.slab(row).subarray(offset, offset + this.dimension);
  }

  id(row: number): string {
    return this.#ids[row]!;
  }

  norm(row: number): number {
    return this.#norms[row]!;
  }

  sequence(row: number): number {
    return this.#sequences[row]!;
  }

  /** Milliseconds since 1970, or NaN. */
  timestamp(row: number): number {
    return this.#timestamps[row]!;
  }

  metadata(row: number): string | undefined {
    return this.#metadata[row];
  }

  #grow(): void {
    const capacity = Math.max(64, this.#norms.length * 2);
    this.#norms = copyInto(new Float32Array(capacity), this.#norms);
    this.#sequences = copyInto(new Float64Array(capacity), this.#sequences);
    this.#timestamps = copyInto(new Float64Array(capacity), this.#timestamps);
    this.#isDead = copyInto(new Uint8Array(capacity), this.#isDead);
  }
}

function copyInto<T extends { set(source: T): void }>(target: T, source: T): T {
  target.set(source);
  return target;
}
