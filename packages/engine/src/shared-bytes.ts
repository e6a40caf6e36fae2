/** The smallest buffer; a frame with one observation of 768 dimensions fits. */
const SIZE_MIN = 4_096;
/** Buffers of one size that are kept for later. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Buffers that all threads see, used again and again. The garbage collector does not count shared memory
 * as its own, so buffers that are left to it pile up for hundreds of megabytes.
 */
export class SharedBytes {
  readonly #free = new Map<number, SharedArrayBuffer[]>();

  /** A copy of some bytes, to be given back once no thread reads it any more. */
  copy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
    let size = SIZE_MIN;
    while (size < bytes.length) size *= 2;
    const buffer = this.#free.get(size)?.pop() ?? new SharedArrayBuffer(size);
    const copy = new Uint8Array(buffer, 0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  giveBack({ buffer }: Uint8Array<SharedArrayBuffer>): void {
    const free = this.#free.get(buffer.byteLength) ?? [];
    if (free.length * buffer.byteLength < KEPT_BYTES_MAX) free.push(buffer);
    this.#free.set(buffer.byteLength, free);
  }

  /** What is kept and not in use. */
  get keptBytes(): number {
    let bytes = 0;
    for (const [size, free] of this.#free) bytes += size * free.length;
    return bytes;
  }
}
