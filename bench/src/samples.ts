/** Middle and ends of what the repetitions measured. */
interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** @throws RangeError when there are no values */
function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('nothing was measured');
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  const median = sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The value that so many percent are not above; NaN where there are none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN;
}

/** `median (min–max)`, or the one value when there was one repetition. */
export function formatSpread(values: readonly number[], format: (value: number) => string): string {
  if (values.length === 0) return '–';
  const { median, min, max } = spreadOf(values);
  if (values.length === 1) return format(median);
  return `${format(median)} (${format(min)}–${format(max)})`;
}

export function formatRate(perSecond: number): string {
  return Math.round(perSecond).toLocaleString('en-US');
}

export function formatRatio(ratio: number): string {
  return ratio.toFixed(2);
}

/** Three places: one wrong hit among 500 queries for ten is 0.0002. */
export function formatRecall(recall: number): string {
  return recall.toFixed(3);
}

export function formatMs(ms: number): string {
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}
