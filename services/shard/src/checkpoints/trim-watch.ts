import type { Registered } from '@engram/log';
import type { PartitionId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { PartitionRecords } from './partition-records.ts';

interface TrimWatchOptions {
  readonly register: Pick<PartitionRecords, 'read'>;
  /** Entries of the partition are missing: it must be brought in anew. */
  readonly onOvertaken: (partition: PartitionId) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two looks at how far the log of a partition was trimmed by its writer. */
const WATCH_MS = 5_000;

/** Notices entries that were removed from the log before this shard had applied them. */
export class TrimWatch {
  readonly #options: TrimWatchOptions;
  /** Up to where each partition was applied when the log was still whole behind that. */
  readonly #whole = new Map<PartitionId, { readonly upTo: number; readonly atMs: number }>();

  constructor(options: TrimWatchOptions) {
    this.#options = options;
  }

  /** Up to where a partition lacks nothing for certain; 0 where nothing is known. */
  wholeTo(partition: PartitionId): number {
    return this.#whole.get(partition)?.upTo ?? 0;
  }

  /** A partition was taken over, with everything up to this sequence. */
  restored(partition: PartitionId, upTo: number): void {
    this.#whole.set(partition, { upTo, atMs: -Infinity });
  }

  /** Everything up to this sequence is applied, and the log was looked at, or is this shard's to trim. */
  seen(partition: PartitionId, upTo: number): void {
    this.#whole.set(partition, { upTo, atMs: this.#options.clock.now() });
  }

  release(partition: PartitionId): void {
    this.#whole.delete(partition);
  }

  /**
   * Everything of a partition up to a sequence that stood in the log is applied.
   * @returns false when some of it had been removed from the log before
   */
  async confirm(partition: PartitionId, upTo: number): Promise<boolean> {
    const { register, logger } = this.#options;
    const from = this.wholeTo(partition);
    const trimmedTo = (await register.read(partition))?.record.trimmedTo ?? 0;
    if (trimmedTo > from) {
      logger.warn({ partition, trimmedTo, from }, 'the log was trimmed during a replay');
      return false;
    }
    this.#whole.set(partition, { upTo: Math.max(from, upTo), atMs: -Infinity });
    return true;
  }

  /** Whether it is time to look at the partition again. */
  isDue(partition: PartitionId): boolean {
    const whole = this.#whole.get(partition);
    return whole !== undefined && whole.atMs + WATCH_MS <= this.#options.clock.now();
  }

  /** Tells at once where entries are missing. */
  isOvertaken(partition: PartitionId, found: Registered | undefined): boolean {
    const { onOvertaken, logger } = this.#options;
    const whole = this.#whole.get(partition);
    const trimmedTo = found?.record.trimmedTo ?? 0;
    if (whole === undefined || trimmedTo <= whole.upTo) return false;
    logger.warn({ partition, trimmedTo, applied: whole.upTo }, 'the log was trimmed too early');
    this.#whole.delete(partition);
    onOvertaken(partition);
    return true;
  }
}
