// Which sealed segments to merge. Pure.

/** What the plan looks at. */
export interface MergeCandidate {
  readonly number: number;
  readonly bytes: number;
  readonly rows: number;
  /** Dead rows that no snapshot may ask for any more. */
  readonly removable: number;
}

export interface MergeLimits {
  /** Of a segment that is sealed because it is full. */
  readonly segmentBytesMax: number;
  /** Segments are not merged into larger ones than this. */
  readonly mergedBytesMax: number;
}

/** Every graph more is a search more for each recall: so many of one size become one. */
const SEGMENTS_A_MERGE = 4;
/** A graph keeps its quality and its worth while fewer than this share of its rows are dead. */
const REMOVABLE_SHARE_MAX = 0.25;

/**
 * The next merge, or undefined. Sizes are classed by powers of four, so that a row is rewritten once
 * for each class that its space outgrows.
 */
export function planMerge(
  candidates: readonly MergeCandidate[],
  { segmentBytesMax, mergedBytesMax }: MergeLimits,
): readonly MergeCandidate[] | undefined {
  const worn = candidates.find(({ rows, removable }) => removable >= rows * REMOVABLE_SHARE_MAX);
  if (worn !== undefined) return [worn];
  const classes = new Map<number, MergeCandidate[]>();
  for (const candidate of candidates) {
    const size = Math.max(0, Math.ceil(Math.log(candidate.bytes / segmentBytesMax) / Math.log(4)));
    classes.set(size, [...(classes.get(size) ?? []), candidate]);
  }
  for (const [, members] of [...classes].sort(([left], [right]) => left - right)) {
    const merged = members.slice(0, SEGMENTS_A_MERGE);
    if (merged.length < SEGMENTS_A_MERGE) continue;
    if (merged.reduce((sum, { bytes }) => sum + bytes, 0) <= mergedBytesMax) return merged;
  }
  return undefined;
}
