import type { Lane, PartitionId } from '@engram/model';
import { isLive, type Held } from './held.ts';
import type { Feed } from './options.ts';

/** Reads what came into the log before the shard had its partitions. */
export interface Replay {
  readonly stripe: number;
  readonly partitions: ReadonlyMap<PartitionId, Held>;
  readonly feed: Feed;
  readonly startedAtMs: number;
  /** It began behind this entry. */
  readonly start: number;
  /** The log as it stood when the replay began ends here. */
  readonly until: number;
  /** Entries before it that wait, as far as the server told. */
  pending: number;
  /** When it came to that end. */
  reachedAtMs?: number;
}

/** Reads one lane of all partitions of a stripe that have caught up. */
export interface LiveFeed {
  readonly stripe: number;
  readonly lane: Lane;
  readonly feed: Feed;
}

/** Entries and bytes handed over and not finished, for one lane or for all replays. */
export class Load {
  messages = 0;
  bytes = 0;
}

/** With more than that to read, a shard would answer from behind the one that it takes over from. */
export const LAG_MAX = 1_000;
/** Where entries come faster than they are applied, it would wait for ever. */
export const LAG_MS_MAX = 30_000;

/**
 * Notes how far a replay has come.
 * @returns whether that is the end of the log as it stood when it began, and near to its end of now
 */
export function noteProgress(
  replay: Replay,
  { completeTo, pending }: { readonly completeTo: number; readonly pending: number },
  nowMs: number,
): boolean {
  replay.pending = pending;
  if (completeTo < replay.until) return false;
  replay.reachedAtMs ??= nowMs;
  return pending <= LAG_MAX || nowMs - replay.reachedAtMs >= LAG_MS_MAX;
}

/** Entries that wait in the log for a partition, with those of others that its feeds read. */
export function pendingOf(
  partition: PartitionId,
  held: Held,
  stripe: number,
  live: readonly LiveFeed[],
  replays: readonly Replay[],
): number {
  if (isLive(held)) return waitingOf(live.filter((feed) => feed.stripe === stripe));
  return replays
    .filter(({ partitions }) => partitions.get(partition) === held)
    .reduce((sum, { pending }) => sum + pending, 0);
}

/** Entries that wait in the log for these feeds. */
export function waitingOf(live: readonly LiveFeed[]): number {
  return live.reduce((sum, { feed }) => sum + feed.waiting, 0);
}
