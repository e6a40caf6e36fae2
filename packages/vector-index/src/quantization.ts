import type { Metric } from '@engram/model';
import { norm } from './score.ts';
import { TopK } from './top-k.ts';

/** The largest step of an int8; -128 is left out, so that the steps are symmetric. */
export const STEP_MAX = 127;

/** Enough that some components lie above the quantile. */
const COMPONENTS_MAX = 2 ** 15;
/** One component in 10,000 is clipped; a rare outlier must not take the steps from all others. */
const QUANTILE = 0.9999;

/**
 * Factor from a component to its int8 step: 127 over the 99.99 % quantile of |component| in the
 * sample (for cosine: of the normalised rows). Large samples are thinned out evenly.
 * @param vectors `count` embeddings one after another from element 0
 */
export function quantizationScale(
  vectors: Float32Array,
  count: number,
  dimension: number,
  metric: Metric,
): number {
  const taken = Math.min(count, Math.ceil(COMPONENTS_MAX / dimension));
  const components = taken * dimension;
  // A recall waits while this runs: the few above the quantile are picked out, nothing is sorted.
  const largest = new TopK(components - Math.ceil(QUANTILE * components) + 1);
  let least = -Infinity;
  for (let i = 0; i < taken; i++) {
    const from = Math.floor((i * count) / taken) * dimension;
    const length = metric === 'cosine' ? norm(vectors, from, dimension) || 1 : 1;
    for (let j = 0; j < dimension; j++) {
      const magnitude = Math.abs(vectors[from + j]!) / length;
      if (magnitude <= least) continue;
      largest.offer(i * dimension + j, magnitude);
      least = largest.threshold;
    }
  }
  const magnitudes = largest.drain();
  const quantile = magnitudes.at(-1)?.score ?? 0;
  // Nearly all components are 0 in very sparse rows; then the largest decides.
  const full = quantile > 0 ? quantile : (magnitudes[0]?.score ?? 0);
  return full > 0 ? STEP_MAX / full : 1;
}
