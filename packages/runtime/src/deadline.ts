import type { Clock } from './clock.ts';

/** How long a wait may take; made once, asked often. */
export class Deadline {
  readonly #clock: Clock;
  readonly #at: number;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#at = clock.now() + ms;
  }

  get remainingMs(): number {
    return Math.max(0, this.#at - this.#clock.now());
  }

  get isOver(): boolean {
    return this.remainingMs === 0;
  }
}

/** Waiting time before the n-th retry (from 0): exponential with full jitter, after AWS's study. */
export function backoffMs(
  attempt: number,
  baseMs: number,
  capMs: number,
  random: () => number,
): number {
  return random() * Math.min(capMs, baseMs * 2 ** attempt);
}
