/** What a setting is judged by; all three count. */
export interface Outcome {
  /** Higher is better. */
  readonly rate: number;
  /** Lower is better, as of the next. */
  readonly p99Ms: number;
  readonly memoryBytes: number;
}

/** Those that no other one is better than in one respect and as good as in the others. */
export function paretoFront<T extends Outcome>(outcomes: readonly T[]): T[] {
  return outcomes.filter((outcome) => !outcomes.some((other) => dominates(other, outcome)));
}

function dominates(left: Outcome, right: Outcome): boolean {
  const isNoWorse =
    left.rate >= right.rate && left.p99Ms <= right.p99Ms && left.memoryBytes <= right.memoryBytes;
  return (
    isNoWorse &&
    (left.rate > right.rate || left.p99Ms < right.p99Ms || left.memoryBytes < right.memoryBytes)
  );
}
