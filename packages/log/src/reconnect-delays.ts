import type { Clock } from '@engram/runtime';

/** Between two tries to connect again, and up to twice that. */
const PAUSE_MS = 250;

/**
 * For the library's `reconnectDelayHandler`. It compares the wall clock with when it tried last: where that
 * clock was an hour ahead then, it would not try again for an hour. So a try that is due by a clock that never
 * goes back is due whatever the wall clock says.
 */
export function reconnectDelays(clock: Pick<Clock, 'now'>, random = Math.random): () => number {
  let nextAtMs = -Infinity;
  return () => {
    const leftMs = nextAtMs - clock.now();
    if (leftMs > 0) return leftMs;
    nextAtMs = clock.now() + PAUSE_MS * (1 + random());
    return -Infinity;
  };
}
