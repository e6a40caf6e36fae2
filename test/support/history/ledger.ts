import type { FinalState, WriteEvent } from './event.ts';
import { isKnown, WriteIndex } from './write-index.ts';

/** Where each observation that was produced has ended; the parts add up to `produced`. */
export interface Ledger {
  readonly produced: number;
  readonly searchable: number;
  readonly overwritten: number;
  readonly deleted: number;
  readonly rejected: number;
  readonly deadLettered: number;
  /** Nobody was told, and no trace shows. */
  readonly unknown: number;
  /** Acknowledged, and nowhere to be found. */
  readonly lost: number;
  /** There more often than once. */
  readonly duplicated: number;
  /** Acknowledged; they are no observations. */
  readonly deletes: number;
}

export function ledgerOf(
  writes: readonly WriteEvent[],
  poisons: readonly { readonly outcome: string; readonly sequence?: number }[],
  final: FinalState,
): Ledger {
  const index = new WriteIndex(writes);
  const tally = { searchable: 0, overwritten: 0, deleted: 0, rejected: 0, unknown: 0, lost: 0 };
  const live = new Map<string, number>();
  let duplicated = 0;
  for (const [space, { listed }] of final.spaces)
    for (const { id, version } of listed) {
      const key = keyOf(space, id);
      if (live.has(key)) duplicated++;
      live.set(key, version);
    }
  const counted = new Set<number>();
  for (const write of writes) {
    if (write.kind === 'delete') continue;
    const { space, id, version } = write;
    // A version that was published again is one observation all the same.
    if (index.puts(version).length > 1) {
      if (counted.has(version)) continue;
      counted.add(version);
    }
    tally[fateOf(write, index, live.get(keyOf(space, id)))]++;
  }
  const deadLettered = poisons.filter(
    ({ outcome, sequence }) =>
      outcome === 'ok' && sequence !== undefined && final.deadLetters.has(sequence),
  ).length;
  const rejected = tally.rejected + poisons.filter(({ outcome }) => outcome === 'rejected').length;
  const unknown = tally.unknown + poisons.filter(({ outcome }) => outcome === 'unknown').length;
  const lost = tally.lost + poisons.filter(({ outcome }) => outcome === 'ok').length - deadLettered;
  const { searchable, overwritten, deleted } = tally;
  return {
    produced: searchable + overwritten + deleted + rejected + deadLettered + unknown + lost,
    searchable,
    overwritten,
    deleted,
    rejected,
    deadLettered,
    unknown,
    lost,
    duplicated,
    deletes: writes.filter(({ kind, outcome }) => kind === 'delete' && outcome === 'ok').length,
  };
}

type Fate = 'searchable' | 'overwritten' | 'deleted' | 'rejected' | 'unknown' | 'lost';

function fateOf(write: WriteEvent, index: WriteIndex, live: number | undefined): Fate {
  if (live === write.version) return 'searchable';
  const puts = index.puts(write.version);
  const sequence = Math.max(0, ...puts.filter(isKnown).map((put) => put.sequence));
  if (sequence === 0)
    return puts.every(({ outcome }) => outcome === 'rejected') ? 'rejected' : 'unknown';
  const { known, unknown } = index.of(write.space, write.id);
  const next = known.find((later) => later.sequence > sequence);
  if (next !== undefined) return next.kind === 'put' ? 'overwritten' : 'deleted';
  // Only a write of unknown outcome can have taken its place.
  const taker = unknown.find(({ kind, version }) =>
    live === undefined ? kind === 'delete' : version === live && kind === 'put',
  );
  if (taker === undefined) return 'lost';
  return taker.kind === 'put' ? 'overwritten' : 'deleted';
}

function keyOf(space: string, id: string): string {
  return `${space} ${id}`;
}
