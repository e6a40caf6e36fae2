/** A checkpoint that was stored at some time. */
export interface Mark {
  readonly watermark: number;
  readonly writtenAtMs: number;
}

interface TrimFacts {
  /** Of the checkpoint before the last: if the last is damaged, that one and the log have everything. */
  readonly previousWatermark: number;
  /** Earlier checkpoints, oldest first. */
  readonly marks: readonly Mark[];
  readonly nowMs: number;
  /** Entries younger than that stay, unless the log fills up. */
  readonly keepMs: number;
  readonly isLogFull: boolean;
}

/** Up to where the log of a partition may be removed. Entries are older than the mark behind them. */
export function trimmableTo(facts: TrimFacts): number {
  const { previousWatermark, marks, nowMs, keepMs, isLogFull } = facts;
  if (isLogFull) return previousWatermark;
  const old = marks.filter(({ writtenAtMs }) => writtenAtMs <= nowMs - keepMs);
  return Math.min(previousWatermark, old.at(-1)?.watermark ?? 0);
}

/** With one more; of those that are old enough only the last is of use. */
export function withMark(
  marks: readonly Mark[],
  mark: Mark,
  { nowMs, keepMs }: { readonly nowMs: number; readonly keepMs: number },
): Mark[] {
  const firstKept = marks.findLastIndex(({ writtenAtMs }) => writtenAtMs <= nowMs - keepMs);
  return [...marks.slice(Math.max(0, firstKept)), mark];
}
