// Looks at the shape of a saved graph before its engine does: both engines take a file of another
// dimension or quantisation without a word, and one with a foreign header may abort the process.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ClusterError } from '@engram/model';

export function damaged(path: string, cause: unknown): ClusterError {
  return new ClusterError('SEGMENT_DAMAGED', `the graph ${path} cannot be opened`, { cause });
}

/** A fault in the file's shape; it becomes the cause of SEGMENT_DAMAGED. */
export class GraphFileFault extends Error {}

/** Throws unless what the file says is what the caller knows. */
export function expectEqual(what: string, found: number | bigint, wanted: number | bigint): void {
  if (BigInt(found) !== BigInt(wanted))
    throw new GraphFileFault(`its ${what} is ${found} instead of ${wanted}`);
}

/** Reads single places of a file. */
export class GraphFile implements Disposable {
  readonly bytes: number;
  readonly #descriptor: number;

  constructor(path: string) {
    this.#descriptor = openSync(path, 'r');
    this.bytes = fstatSync(this.#descriptor).size;
  }

  /** Exactly that many bytes, or a fault. */
  at(offset: number, length: number): DataView {
    if (offset + length > this.bytes) throw new GraphFileFault(`it ends after ${this.bytes} bytes`);
    const bytes = new Uint8Array(length);
    const read = readSync(this.#descriptor, bytes, 0, length, offset);
    if (read !== length) throw new GraphFileFault(`only ${read} of ${length} bytes could be read`);
    return new DataView(bytes.buffer);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}
