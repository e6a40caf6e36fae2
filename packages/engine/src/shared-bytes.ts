/** The smallest buffer; a frame with one observation of 768 dimensions fits. */
const SIZE_MIN = 4_096;
/** Of those that are kept for later, all sizes together. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/**
 * Buffers that all threads see, used again and again. The garbage collector does not count shared memory
 * as its own, so buffers that are left to it pile up for hundreds of megabytes.
 */
export class SharedBytes {
  readonly #free = new Map<number, SharedArrayBuffer[]>();
  #keptBytes = 0;

  /** A copy of some bytes, to be given back once no thread reads it any more. */
  copy(bytes: Uint8Array): Uint8Array<SharedArrayBuffer> {
    let size = SIZE_MIN;
    while (size < bytes.length) size *= 2;
    const kept = this.#free.get(size)?.pop();
    if (kept !== undefined) this.#keptBytes -= size;
    const buffer = kept ?? new SharedArrayBuffer(size);
    const copy = new Uint8Array(buffer, 0, bytes.length);
    copy.set(bytes);
    return copy;
  }

  giveBack({ buffer }: Uint8Array<SharedArrayBuffer>): void {
    if (this.#keptBytes + buffer.byteLength > KEPT_BYTES_MAX) return;
    this.#keptBytes += buffer.byteLength;
    const free = this.#free.get(buffer.byteLength);
    if (free === undefined) this.#free.set(buffer.byteLength, [buffer]);
    else free.push(buffer);
  }
}
