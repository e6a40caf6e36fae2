// Whether the processor is crowded, told by how long the thread that asks had to wait for it. Threads that
// all build graphs keep each other, and whoever has something urgent, from running: while others wait for
// the processor, graphs are built less.

import { closeSync, openSync, readSync } from 'node:fs';

/** Between two looks at what the system counts, which takes some microseconds. */
const LOOK_MS = 5;
/**
 * It is judged over so much time in which the thread ran or wanted to. Over less, the wait for its waking up
 * after a pause was crowd enough for the next pause: on an idle machine graphs were built a fifth of the time.
 */
const JUDGED_MS = 20;
/** Of that time; less is nobody's doing. */
const WAITED_SHARE = 0.2;
/** The pause is so many times what the thread waited beyond that. */
const PAUSES = 5;
const PAUSE_MS_MAX = 100;

/** What a thread had of the processor since it began, in milliseconds. */
export interface CpuTime {
  readonly ranMs: number;
  /** That it could have run, and something else did. */
  readonly waitedMs: number;
}

export class Crowding {
  readonly #cpuTime: () => CpuTime | undefined;
  #last: CpuTime | undefined;
  #lookedAtMs = -Infinity;

  /** @param cpuTime of this thread; undefined where the system does not tell */
  constructor(cpuTime: () => CpuTime | undefined) {
    this.#cpuTime = cpuTime;
    this.#last = cpuTime();
  }

  /** @returns how long to pause after a slice of graph building; mostly 0 */
  pauseMs(nowMs: number): number {
    if (nowMs - this.#lookedAtMs < LOOK_MS) return 0;
    this.#lookedAtMs = nowMs;
    const [before, now] = [this.#last, this.#cpuTime()];
    if (before === undefined || now === undefined) {
      this.#last = now;
      return 0;
    }
    const waitedMs = now.waitedMs - before.waitedMs;
    const wantedMs = waitedMs + now.ranMs - before.ranMs;
    if (wantedMs < JUDGED_MS) return 0;
    this.#last = now;
    const tooLongMs = waitedMs - wantedMs * WAITED_SHARE;
    return tooLongMs <= 0 ? 0 : Math.min(PAUSE_MS_MAX, tooLongMs * PAUSES);
  }
}

/**
 * Reads what Linux counts for the thread that calls: nanoseconds that it ran, and that it waited
 * (Documentation/scheduler/sched-stats.rst). Elsewhere nothing is told.
 */
export function threadCpuTime(): () => CpuTime | undefined {
  const buffer = Buffer.alloc(128);
  let file: number;
  try {
    file = openSync('/proc/thread-self/schedstat', 'r');
  } catch {
    return () => undefined;
  }
  // Until the end of the thread: it is small, and threads are few.
  process.once('exit', () => closeSync(file));
  return () => {
    const bytes = readSync(file, buffer, 0, buffer.length, 0);
    const [ran = 0, waited = 0] = buffer.toString('latin1', 0, bytes).split(' ', 2).map(Number);
    return { ranMs: ran / 1e6, waitedMs: waited / 1e6 };
  };
}
