import type { PartitionId } from '@engram/model';
import type { Held } from './held.ts';
import type { Feed } from './options.ts';

/** How far one replay is, in sequences of its stripe. */
export interface ReplayProgress {
  /** Those that the shard still holds. */
  readonly partitions: readonly PartitionId[];
  /** It began behind this entry, and everything up to `at` is read. */
  readonly start: number;
  readonly at: number;
  /** The log as it stood when the replay began ends here. */
  readonly until: number;
  /** Entries before it that wait, as far as the server told. */
  readonly pending: number;
  readonly startedAtMs: number;
}

/** Of a replay whose feed has delivered everything up to its last sequence. */
export function progressOf(
  replay: Omit<ReplayProgress, 'partitions' | 'at'> & {
    readonly partitions: ReadonlyMap<PartitionId, Held>;
    readonly feed: Feed;
  },
  held: ReadonlyMap<PartitionId, Held>,
): ReplayProgress {
  const { feed, start, until, pending, startedAtMs } = replay;
  const own = [...replay.partitions].filter(([partition, each]) => held.get(partition) === each);
  const at = Math.max(start, feed.lastSequence);
  return {
    partitions: own.map(([partition]) => partition),
    start,
    at,
    until,
    pending,
    startedAtMs,
  };
}
