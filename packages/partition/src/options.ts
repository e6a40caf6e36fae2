import type { Lane, PartitionId, PerLane } from '@engram/model';
import type { Filtered, LogMessage, Room } from '@engram/log';
import type { Clock, Logger } from '@engram/runtime';

/** What the reader needs of a log feed; `LogFeed` is one. */
export interface Feed {
  readonly lastSequence: number;
  /** Entries that wait in the log for it, as far as is known. */
  readonly waiting: number;
  progress(): Promise<{ completeTo: number; pending: number } | undefined>;
  pump(): void;
  close(): Promise<void>;
}

export interface FeedRequest {
  readonly stripe: number;
  readonly stream: string;
  readonly subjects: readonly string[];
  readonly startSequence: number;
  readonly filtered: Filtered;
  readonly room: () => Room;
  readonly onMessage: (message: LogMessage) => void;
}

export interface ReaderOptions {
  readonly stripeCount: number;
  readonly openFeed: (request: FeedRequest) => Feed;
  /**
   * Brings in what is stored of a partition. Its entries are read from the log after that.
   * @returns the sequence up to which everything is applied; 0 where nothing is stored
   */
  readonly restore: (partition: PartitionId) => Promise<number>;
  /**
   * Asked once all that was found in the log up to a sequence is applied.
   * @returns false when entries had been removed from the log before they were read: then the partition
   * is restored again
   */
  readonly confirm: (partition: PartitionId, upTo: number) => Promise<boolean>;
  /** Newest sequence of a stripe. */
  readonly head: (stripe: number) => Promise<number>;
  /**
   * Settles when the entry is applied or set aside for good; must not reject before `close`. Once
   * `isCurrent` is false the partition was let go, and what is not applied yet must not be: if the
   * shard takes it again, its replay brings the entry again.
   */
  readonly apply: (message: LogMessage, isCurrent: () => boolean) => Promise<void>;
  /** The shard no longer holds these. */
  readonly onRelease: (partitions: readonly PartitionId[]) => void;
  readonly onReady: (ready: ReadonlySet<PartitionId>) => void;
  /** Everything up to these sequences is applied, and nothing older can come any more. */
  readonly onComplete: (upTo: ReadonlyMap<PartitionId, number>) => void;
  /** What may be under way in a lane; all replays together may have as much as the lane normal. */
  readonly roomPerLane: PerLane<Room>;
  /** What who applies has room for now, in a lane or, for replays, in all of them. */
  readonly room: (lane: Lane | undefined) => Room;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}
