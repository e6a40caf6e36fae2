import { Worker } from 'node:worker_threads';
import type { Dataset } from './dataset.ts';

/** Recalls at a fixed rate, whatever the cluster answers: an open loop. */
export interface RecallLoadOptions {
  readonly url: string;
  readonly space: string;
  readonly queries: Dataset['queries'];
  readonly nearest: Dataset['nearest'];
  readonly k: number;
  readonly perSecond: number;
  /** After so many it ends by itself; without it, at `finish`. */
  readonly count?: number;
}

export interface RecallSample {
  /** When the recall should have been sent, in milliseconds since the epoch. */
  readonly intendedAtMs: number;
  /** From then until its answer, the wait for a late start included. */
  readonly latencyMs: number;
  /** recall@10 against the whole data set; undefined when there was no answer, or not from all. */
  readonly recall: number | undefined;
}

/** Longer than the client waits for its last answers. */
const FINISH_MS_MAX = 60_000;

/**
 * The load runs in a thread of its own, so that what the importing thread computes meanwhile is not
 * counted as the cluster's latency.
 */
export class RecallLoad implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #samples: Promise<readonly RecallSample[]>;

  constructor(options: RecallLoadOptions) {
    this.#worker = new Worker(new URL('./recall-thread.js', import.meta.url), {
      workerData: options,
    });
    this.#samples = new Promise((resolve, reject) => {
      this.#worker.once('message', resolve);
      this.#worker.once('error', reject);
      this.#worker.once('exit', (code) =>
        reject(new Error(`the recall load ended with code ${code} and no samples`)),
      );
    });
    // Whoever disposes before the end does not want them.
    this.#samples.catch(() => undefined);
  }

  /** Sends no more, and gives the samples when all answers are there. */
  async finish(signal: AbortSignal): Promise<readonly RecallSample[]> {
    this.#worker.postMessage('stop');
    return this.#answered(AbortSignal.any([signal, AbortSignal.timeout(FINISH_MS_MAX)]));
  }

  /** The samples of a load that has a `count`. */
  whenDone(signal: AbortSignal): Promise<readonly RecallSample[]> {
    return this.#answered(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  #answered(signal: AbortSignal): Promise<readonly RecallSample[]> {
    return new Promise((resolve, reject) => {
      const abort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      this.#samples.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
  }
}
