import type { Acknowledged } from './options.ts';

/** Acknowledgements that wait for their reader, so that a slow one slows the writing too. */
const WAITING_MAX = 64;

export class AckQueue implements AsyncIterable<Acknowledged> {
  readonly #waiting: Acknowledged[] = [];
  #end: { readonly error?: unknown } | undefined;
  #isLeft = false;
  #wake = (): void => undefined;
  #changed = this.#next();

  /** Nobody reads any more. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  push(acknowledged: Acknowledged): void {
    if (!this.#isLeft) this.#waiting.push(acknowledged);
    this.#change();
  }

  /** Resolves once the reader is near. */
  async room(): Promise<void> {
    while (this.#waiting.length >= WAITING_MAX && !this.#isLeft) await this.#changed;
  }

  end(): void {
    this.#end = {};
    this.#change();
  }

  fail(error: unknown): void {
    this.#end = { error };
    this.#change();
  }

  leave(): void {
    this.#isLeft = true;
    this.#waiting.length = 0;
    this.#change();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Acknowledged, void, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        this.#change();
        yield next;
      } else if (this.#end !== undefined) {
        if ('error' in this.#end) throw this.#end.error;
        return;
      } else await this.#changed;
    }
  }

  #next(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #change(): void {
    this.#wake();
    this.#changed = this.#next();
  }
}
