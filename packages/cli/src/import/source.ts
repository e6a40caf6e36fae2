import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';

/** Bytes to import, and how many of them have been read. */
export class Source implements AsyncIterable<Uint8Array> {
  /** Undefined for a pipe, whose end nobody knows. */
  readonly size: number | undefined;
  #bytesRead = 0;
  readonly #stream: Readable;
  readonly #signal: AbortSignal;
  readonly #stop = () => this.#stream.destroy();

  private constructor(stream: Readable, size: number | undefined, signal: AbortSignal) {
    this.#stream = stream;
    this.size = size;
    this.#signal = signal;
    signal.addEventListener('abort', this.#stop, { once: true });
  }

  /** A file, or standard input for `-`. An abort ends the reading with an error. */
  static async open(path: string, signal: AbortSignal): Promise<Source> {
    if (path === '-') return new Source(process.stdin, undefined, signal);
    const file = await open(path).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
    const stat = await file.stat();
    if (stat.isDirectory()) {
      await file.close();
      throw unreadable(path, 'it is a folder');
    }
    const { size } = stat;
    return new Source(file.createReadStream({ highWaterMark: 1 << 18 }), size, signal);
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of this.#stream as AsyncIterable<Uint8Array>) {
      this.#bytesRead += chunk.length;
      yield chunk;
    }
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#stop);
    this.#stream.destroy();
  }
}

/** Reasons for which the system only has a code and a phrase of its own. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
};

function unreadable(path: string, cause: unknown): Error {
  const { code = '', message = String(cause) } = cause as Partial<NodeJS.ErrnoException>;
  return new Error(`${path} cannot be read: ${REASONS[code] ?? message}`, { cause });
}
