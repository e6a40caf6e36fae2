import { RunningMean } from '@engram/runtime';

export interface BatchLimits {
  readonly minBatch: number;
  readonly maxBatch: number;
}

/** From here on a batch is as large as it may be; the reference's steal threshold is a fifth of it. */
const DEEP = 5_000;

/**
 * How many observations to take at once: `minBatch` while few wait, so that each is done soon, growing in
 * a straight line with the depth to `maxBatch` at 5,000, where the cost of a batch matters more than its
 * latency. With 10 and 500: 20 at 100 waiting, 108 at 1,000 (where the reference's table has the best
 * balance), 500 from 5,000 on.
 */
export function batchSize(depth: number, { minBatch, maxBatch }: BatchLimits): number {
  const share = Math.min(1, Math.max(0, depth) / DEEP);
  return Math.round(minBatch + (maxBatch - minBatch) * share);
}

/** A high entry that comes now waits for the batches under way, at most two of them. */
const BATCH_MS = 4;
/** Share of a new batch in the running mean. */
const WEIGHT = 1 / 8;

/** How long observations take at one worker, so that a batch of large ones is not a long one. */
export class BatchTime {
  #msEach: RunningMean | undefined;

  /** @param ms that the worker was at it, and at nothing else */
  note(observations: number, ms: number): void {
    if (observations === 0) return;
    const each = ms / observations;
    this.#msEach ??= new RunningMean(each, WEIGHT);
    this.#msEach.note(each);
  }

  /** As many as the worker does in the time that a batch may take; any number before one was done. */
  get observationsMax(): number {
    return this.#msEach === undefined ? Infinity : BATCH_MS / this.#msEach.value;
  }
}
