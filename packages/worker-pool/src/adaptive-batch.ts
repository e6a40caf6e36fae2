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
