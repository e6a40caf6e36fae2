import { Signal } from '../waiting.ts';
import type { Acknowledged } from './options.ts';

/** Acknowledgements that wait for their reader, so that a slow one slows the writing too. */
const WAITING_MAX = 64;

export class AckQueue implements AsyncIterable<Acknowledged> {
  readonly #waiting: Acknowledged[] = [];
  #end: { readonly error?: unknown } | undefined;
  #isLeft = false;
  readonly #changed = new Signal();

  /** Nobody reads any more. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  push(acknowledged: Acknowledged): void {
    if (!this.#isLeft) this.#waiting.push(acknowledged);
    this.#changed.notify();
  }

  /** Resolves once the reader is near. */
  async room(): Promise<void> {
    await this.#changed.until(() => this.#waiting.length < WAITING_MAX || this.#isLeft);
  }

  end(): void {
    this.#end = {};
    this.#changed.notify();
  }

  fail(error: unknown): void {
    this.#end = { error };
    this.#changed.notify();
  }

  leave(): void {
    this.#isLeft = true;
    this.#waiting.length = 0;
    this.#changed.notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Acknowledged, void, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#changed.notify();
        yield next;
      } else if (this.#end !== undefined) {
        if ('error' in this.#end) throw this.#end.error;
        return;
      } else await this.#changed.next();
    }
  }
}
