import { monitorEventLoopDelay } from 'node:perf_hooks';
import { RunningMean } from '@engram/runtime';

const SAMPLE_MS = 10;
/** Share of a new look in the running mean: one long turn of the loop is no overload. */
const WEIGHT = 0.3;

/** How long what arrives waits until this process looks at it: the delay of its event loop. */
export class LoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  readonly #mean = new RunningMean(0, WEIGHT);

  constructor() {
    this.#histogram.enable();
  }

  /**
   * A mean of the last looks, this one included.
   * @param sinceMs how long ago the last look was
   */
  look(sinceMs: number): number {
    // Without a sample the loop was not free once in all the time.
    const { mean, count } = this.#histogram;
    const heldMs = count === 0 ? sinceMs : mean / 1e6;
    this.#histogram.reset();
    this.#mean.note(Math.max(0, heldMs - SAMPLE_MS));
    return this.#mean.value;
  }

  close(): void {
    this.#histogram.disable();
  }
}
