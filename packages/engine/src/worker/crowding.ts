// Whether the processor is crowded, told from how long slices of work take. Threads that all build graphs
// keep each other, and whoever has something urgent, from running: a thread that was put aside in the middle
// of a slice builds less until it no longer is.

/** A slice that took so much longer than the quickest of late was interrupted. */
const FACTOR = 3;
const SLACK_MS = 2;
/** The pause is so many times what the interruption took. */
const PAUSES = 5;
const PAUSE_MS_MAX = 100;
/** The quickest is forgotten slowly: inserts take longer as a graph grows. */
const FORGETTING = 1.01;

export class Crowding {
  #quickestMs = Infinity;

  /** @returns how long to pause after a slice that took so long; mostly 0 */
  pauseMs(tookMs: number): number {
    this.#quickestMs = Math.min(tookMs, this.#quickestMs * FORGETTING);
    const overMs = tookMs - this.#quickestMs;
    if (tookMs <= this.#quickestMs * FACTOR + SLACK_MS) return 0;
    return Math.min(PAUSE_MS_MAX, overMs * PAUSES);
  }
}
