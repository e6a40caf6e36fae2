// Exact recalls score every observation of a space. Many at one time would share the workers until all of them are
// too late for whoever asked, so only some run, the others wait their turn, and what cannot come in time is refused.

import { jittered, refusalError } from '@engram/admission';
import type { Clock } from '@engram/runtime';

/** A gateway waits some seconds for an answer; a turn that comes later is for nobody. */
const WAIT_MS_MAX = 2_000;
const WAITING_MAX = 64;
const RETRY_MS = 1_000;

export class ExactTurns {
  readonly #clock: Clock;
  readonly #runningMax: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  /** @param runningMax as many as there are workers */
  constructor(runningMax: number, clock: Clock) {
    this.#runningMax = runningMax;
    this.#clock = clock;
  }

  /** @throws ClusterError BACKPRESSURE when its turn cannot come in time */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#runningMax) this.#running++;
    else if (!(await this.#turn())) throw refused();
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  async #turn(): Promise<boolean> {
    if (this.#waiting.size >= WAITING_MAX) return false;
    const called = new AbortController();
    let hasTurn = false;
    const go = () => {
      hasTurn = true;
      called.abort();
    };
    this.#waiting.add(go);
    // Whoever runs may take longer than anybody waits.
    await this.#clock.sleep(WAIT_MS_MAX, called.signal);
    this.#waiting.delete(go);
    return hasTurn;
  }

  /** The turn goes from one to the next, so that nobody comes between. */
  #passOn(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#running--;
      return;
    }
    this.#waiting.delete(first);
    first();
  }
}

function refused(): Error {
  return refusalError({
    code: 'BACKPRESSURE',
    scope: 'partition',
    cause: 'concurrency',
    detail: 'more exact recalls are asked for than the shard can do',
    retryAfterMs: jittered(RETRY_MS, Math.random),
    waitHelps: true,
  });
}
