// What some samples say: medians with intervals by the bootstrap (Efron, "Bootstrap methods: another look at
// the jackknife", 1979), percentile method. Seeded: the same samples always say the same.

import {
  median,
  medianAbsoluteDeviation,
  permutationTest,
  quantileSorted,
  sampleWithReplacement,
} from 'simple-statistics';
import { seededRandom } from '@engram/capacity';

const RESAMPLES = 2_000;
const SEED = 20_190_725;
/** Of the probability that the true value lies outside. */
const OUTSIDE = 0.05;
/** Iglewicz and Hoaglin, "How to detect and handle outliers", 1993: modified z-scores above it are outliers. */
const OUTLIER_SCORE = 3.5;
/** Of the median absolute deviation, as a share of the standard deviation of normal samples. */
const NORMAL_SHARE = 0.6745;

interface Interval {
  readonly low: number;
  readonly high: number;
}

export interface Estimate extends Interval {
  readonly median: number;
}

/** Median with its 95 % interval. @throws RangeError without samples */
export function estimateOf(samples: readonly number[]): Estimate {
  requireSome(samples);
  const random = seededRandom(SEED);
  const medians = Array.from({ length: RESAMPLES }, () => resampledMedian(samples, random));
  return { median: median([...samples]), ...within(medians) };
}

/** How many times as much the median of the first is as that of the others, with its 95 % interval. */
export function ratioOf(samples: readonly number[], others: readonly number[]): Estimate {
  requireSome(samples);
  requireSome(others);
  const random = seededRandom(SEED);
  const ratios = Array.from(
    { length: RESAMPLES },
    () => resampledMedian(samples, random) / resampledMedian(others, random),
  );
  return { median: median([...samples]) / median([...others]), ...within(ratios) };
}

/**
 * How probable a difference of means at least as large is where both are samples of one thing (permutation
 * test; Fisher, "The Design of Experiments", 1935). Of three repetitions and three it is never below 0.1.
 */
export function chanceOf(samples: readonly number[], others: readonly number[]): number {
  requireSome(samples);
  requireSome(others);
  return permutationTest([...samples], [...others], 'two_side', RESAMPLES, seededRandom(SEED));
}

/** Places of samples that are unlike the others: to be shown, and not to be left out. */
export function outliersOf(samples: readonly number[]): number[] {
  requireSome(samples);
  const middle = median([...samples]);
  const deviation = medianAbsoluteDeviation([...samples]);
  return samples.flatMap((sample, i) =>
    NORMAL_SHARE * Math.abs(sample - middle) > OUTLIER_SCORE * deviation ? [i] : [],
  );
}

function resampledMedian(samples: readonly number[], random: () => number): number {
  return median(sampleWithReplacement([...samples], samples.length, random));
}

function within(values: readonly number[]): Interval {
  const sorted = values.toSorted((left, right) => left - right);
  return {
    low: quantileSorted(sorted, OUTSIDE / 2),
    high: quantileSorted(sorted, 1 - OUTSIDE / 2),
  };
}

function requireSome(samples: readonly number[]): void {
  if (samples.length === 0) throw new RangeError('nothing was measured');
}
