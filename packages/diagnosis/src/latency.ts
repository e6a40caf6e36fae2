// Quantiles of what happened between two looks at histograms.

/** Counts of all that took at most so many seconds, and of all, as a shard tells them since its start. */
export interface Latencies {
  /** Ascending; the last count is of those above the last bound too. */
  readonly boundsS: readonly number[];
  readonly counts: readonly number[];
}

/**
 * Milliseconds that a share of them took at most, by linear interpolation within the bucket, as Prometheus's
 * histogram_quantile; undefined where there was none.
 * @param before of an earlier look at the same histogram, or none
 */
export function quantileMs(
  quantile: number,
  now: Latencies,
  before?: Latencies,
): number | undefined {
  const isSame = before !== undefined && (before.counts.at(-1) ?? 0) <= (now.counts.at(-1) ?? 0);
  const counts = now.counts.map((count, i) => count - (isSame ? (before.counts[i] ?? 0) : 0));
  const all = counts.at(-1) ?? 0;
  if (all <= 0) return undefined;
  const wanted = quantile * all;
  const bucket = counts.findIndex((count) => count >= wanted);
  const upper = now.boundsS[bucket];
  const last = now.boundsS.at(-1) ?? 0;
  // Above the last bound nothing is known but that.
  if (upper === undefined) return last * 1_000;
  const [lower, below] = bucket === 0 ? [0, 0] : [now.boundsS[bucket - 1]!, counts[bucket - 1]!];
  const inside = counts[bucket]! - below;
  return (lower + ((upper - lower) * (wanted - below)) / inside) * 1_000;
}

/** Several histograms of the same bounds as one. */
export function together(all: readonly Latencies[]): Latencies | undefined {
  const [first, ...others] = all;
  if (first === undefined) return undefined;
  return others.reduce(
    (sum, each) => ({
      boundsS: sum.boundsS,
      counts: sum.counts.map((count, i) => count + (each.counts[i] ?? 0)),
    }),
    first,
  );
}
