import { freeBuffers } from './free-buffers.ts';

/** Kept of one thread's blocks; a segment of the default size has 64 of 1 MiB. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;
/** Freed at once when they age: unmapping one of 1 MiB takes up to 0.2 ms. */
const FREED_AN_AGE = 8;

/**
 * Blocks of segments that were sealed, for those that grow next: memory that was just in use is neither
 * zeroed nor asked of the kernel again, and nothing has to wait for the garbage collector to be free.
 */
class SpareBlocks {
  readonly #free = new Map<number, Float32Array<ArrayBuffer>[]>();
  #bytes = 0;
  #isInUse = false;

  get bytes(): number {
    return this.#bytes;
  }

  /** A block of so many values; what stands in it is undefined. */
  take(length: number): Float32Array<ArrayBuffer> {
    this.#isInUse = true;
    const block = this.#free.get(length)?.pop();
    if (block === undefined) return new Float32Array(length);
    this.#bytes -= block.byteLength;
    return block;
  }

  /** Nobody may use the block any more. */
  giveBack(block: Float32Array<ArrayBuffer>): void {
    if (this.#bytes + block.byteLength > KEPT_BYTES_MAX) {
      freeBuffers([block.buffer]);
      return;
    }
    this.#bytes += block.byteLength;
    const free = this.#free.get(block.length);
    if (free === undefined) this.#free.set(block.length, [block]);
    else free.push(block);
  }

  /** To be called now and then: where nobody asked for one since the last call, some are freed. */
  age(): void {
    if (!this.#isInUse) this.#drop(FREED_AN_AGE);
    this.#isInUse = false;
  }

  clear(): void {
    this.#drop(Infinity);
  }

  #drop(count: number): void {
    const dropped: ArrayBuffer[] = [];
    for (const [length, free] of this.#free) {
      while (dropped.length < count && free.length > 0) dropped.push(free.pop()!.buffer);
      if (free.length === 0) this.#free.delete(length);
    }
    for (const { byteLength } of dropped) this.#bytes -= byteLength;
    freeBuffers(dropped);
  }
}

/** Of this thread. */
export const spareBlocks = new SpareBlocks();
