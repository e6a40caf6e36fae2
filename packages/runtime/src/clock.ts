import { setTimeout as delay } from 'node:timers/promises';

/** Time as a dependency, so that whole clusters can run under a simulated one. */
export interface Clock {
  /** Monotonic milliseconds: for leases and deadlines, never comparable between processes. */
  now(): number;
  /** Milliseconds since 1970: only for timestamps that people read. */
  wallNow(): number;
  /** Resolves after `ms`, or at once with no error when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

const TIMER_MS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  async sleep(ms, signal) {
    try {
      // A longer one the timers would take for one of a millisecond.
      await delay(Math.min(ms, TIMER_MS_MAX), undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};
