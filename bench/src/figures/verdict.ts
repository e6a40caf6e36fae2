import { median } from 'simple-statistics';
import type { Figure } from './figure.ts';
import { chanceOf, estimateOf, ratioOf, type Estimate } from './statistics.ts';

/** Less than this is noise, however sure. */
const NOISE = 0.02;
/** How often chance alone may make a verdict. */
const SIGNIFICANCE = 0.05;

type Verdict = 'better' | 'same' | 'worse';

export interface Comparison {
  readonly name: string;
  readonly unit: Figure['unit'];
  readonly before: Estimate;
  readonly now: Estimate;
  /** Now, of before. */
  readonly ratio: Estimate;
  readonly verdict: Verdict;
}

/**
 * Another verdict than `same` needs all of: a change beyond the noise, an interval that leaves out that there
 * was none, and that chance would seldom make it. The interval of few repetitions is too narrow to be the
 * only judge, and of fewer than four nothing can be told.
 */
export function compare(now: Figure, before: Figure): Comparison {
  const ratio = ratioOf(now.samples, before.samples);
  const [nowMedian, beforeMedian] = [median([...now.samples]), median([...before.samples])];
  // Of what was nothing, as failures, everything is infinitely more, and as much is no number.
  const wasNothing = beforeMedian === 0;
  const isSure =
    (wasNothing || ratio.low > 1 || ratio.high < 1) &&
    chanceOf(now.samples, before.samples) < SIGNIFICANCE;
  const isLarge = wasNothing ? nowMedian !== 0 : Math.abs(ratio.median - 1) >= NOISE;
  const isHigher = nowMedian > beforeMedian;
  const verdict =
    !isSure || !isLarge ? 'same' : isHigher === (now.better === 'higher') ? 'better' : 'worse';
  return {
    name: now.name,
    unit: now.unit,
    before: estimateOf(before.samples),
    now: estimateOf(now.samples),
    ratio,
    verdict,
  };
}

export function isSame({ verdict }: Comparison): boolean {
  return verdict === 'same';
}

/**
 * Repetitions of one run share what the machine was like meanwhile, of which their spread says nothing: so a
 * difference has to be found by two runs.
 * @param again of a second run, with the same baseline
 */
export function confirmed(
  comparisons: readonly Comparison[],
  again: readonly Comparison[],
): Comparison[] {
  const verdicts = new Map(again.map(({ name, verdict }) => [name, verdict]));
  return comparisons.map((each) =>
    verdicts.get(each.name) === each.verdict ? each : { ...each, verdict: 'same' },
  );
}
