import type { Clock } from './clock.ts';

interface RepeaterOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** One round; what it throws goes to `onError` and the next round comes all the same. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Runs a task again and again, never two rounds at once; `trigger` asks for a round right away. */
export class Repeater implements AsyncDisposable {
  readonly #options: RepeaterOptions;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #wake: AbortController = new AbortController();
  #isAsked = false;

  constructor(options: RepeaterOptions) {
    this.#options = options;
    this.#done = this.#loop();
  }

  trigger(): void {
    this.#isAsked = true;
    this.#wake.abort();
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#wake.abort();
    await this.#done;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #loop(): Promise<void> {
    const { clock, intervalMs, run, onError } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      this.#isAsked = false;
      try {
        await run(signal);
      } catch (error) {
        if (!signal.aborted) onError(error);
      }
      if (signal.aborted) return;
      this.#wake = new AbortController();
      if (!this.#isAsked) await clock.sleep(intervalMs, this.#wake.signal);
    }
  }
}
