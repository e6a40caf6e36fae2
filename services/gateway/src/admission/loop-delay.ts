import { monitorEventLoopDelay } from 'node:perf_hooks';
import { RunningMean } from '@engram/runtime';
import { Repeater, type Clock, type Logger } from '@engram/runtime';

const SAMPLE_MS = 10;
const LOOK_MS = 100;
/** Share of a new look in the running mean: one long turn of the loop is no overload. */
const WEIGHT = 0.3;

/** How long what arrives waits until this process looks at it: the delay of its event loop. */
export class LoopDelay implements AsyncDisposable {
  readonly #histogram = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  readonly #mean = new RunningMean(0, WEIGHT);
  readonly #looks: Repeater;

  constructor(clock: Clock, logger: Logger) {
    this.#histogram.enable();
    this.#looks = new Repeater({
      clock,
      intervalMs: LOOK_MS,
      run: () => {
        this.#look();
        return Promise.resolve();
      },
      onError: (error) => logger.error({ err: error }, 'the delay of the event loop'),
    });
  }

  /** A mean of the last half second. */
  get ms(): number {
    return this.#mean.value;
  }

  async close(): Promise<void> {
    this.#histogram.disable();
    await this.#looks.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #look(): void {
    // Without a sample the loop was not free once in all the time.
    const { mean, count } = this.#histogram;
    const heldMs = count === 0 ? LOOK_MS : mean / 1e6;
    this.#histogram.reset();
    this.#mean.note(Math.max(0, heldMs - SAMPLE_MS));
  }
}
