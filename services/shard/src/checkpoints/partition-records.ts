// The records of partitions, and what to do where one was lost: checkpoints say of themselves what they are.

import { randomUUID } from 'node:crypto';
import type { PartitionRecord, PartitionRegister, Registered, StoredCheckpoint } from '@engram/log';
import { ClusterError, type MemberId, type PartitionId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { FoundCheckpoint } from '@engram/storage';
import type { Transfers } from './transfers.ts';

interface PartitionRecordsOptions {
  readonly self: MemberId;
  readonly register: Pick<PartitionRegister, 'find' | 'write'>;
  readonly transfers: Pick<Transfers, 'names' | 'find'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Many partitions without a record are looked for at once when a cluster is new. */
const NAMES_KEEP_MS = 2_000;

export class PartitionRecords {
  readonly #options: PartitionRecordsOptions;
  #names: Promise<readonly string[]> | undefined;
  #namesAtMs = -Infinity;

  constructor(options: PartitionRecordsOptions) {
    this.#options = options;
  }

  /**
   * The record of a partition; one that was lost or cannot be read is made again from the checkpoints that
   * there are. Undefined for a partition of which nothing was ever stored.
   * @throws ClusterError CHECKPOINT_DAMAGED, FENCED, LOG_UNAVAILABLE
   */
  async read(partition: PartitionId): Promise<Registered | undefined> {
    const { register } = this.#options;
    const found = await register.find(partition);
    if (found?.record !== undefined) return found;
    const checkpoints = await this.#checkpointsOf(partition);
    const [current, previous] = checkpoints;
    if (current !== undefined) return this.#restore(partition, found, current, previous);
    if (found === undefined) return undefined;
    throw new ClusterError(
      'CHECKPOINT_DAMAGED',
      `the record of partition ${partition} cannot be read, and there is no checkpoint of it`,
      { hint: `delete its key ${partition} if nothing of its log was ever removed` },
    );
  }

  write(
    partition: PartitionId,
    record: PartitionRecord,
    before: Registered | undefined,
  ): Promise<Registered> {
    return this.#options.register.write(partition, record, before);
  }

  /** W2: the log was trimmed at most up to the checkpoint before the last. */
  async #restore(
    partition: PartitionId,
    found: { readonly revision: number } | undefined,
    current: FoundCheckpoint,
    previous: FoundCheckpoint | undefined,
  ): Promise<Registered> {
    const { register, self, logger } = this.#options;
    const record: PartitionRecord = {
      epoch: current.head.epoch + 1,
      writer: self,
      claim: randomUUID(),
      current: storedOf(current),
      ...(previous && { previous: storedOf(previous) }),
      trimmedTo: (previous ?? current).head.watermark,
    };
    logger.error({ partition, ...record }, 'the record of a partition was lost, and is made again');
    return register.write(partition, record, found);
  }

  /** Newest first. */
  async #checkpointsOf(partition: PartitionId): Promise<FoundCheckpoint[]> {
    const names = (await this.#allNames()).filter((name) => name.startsWith(`${partition}.`));
    const checkpoints: FoundCheckpoint[] = [];
    for (const name of names) {
      const found = await this.#options.transfers.find(name);
      if (found?.head.partition === partition) checkpoints.push(found);
    }
    return checkpoints.sort(
      ({ head: a }, { head: b }) => b.epoch - a.epoch || b.writtenAtMs - a.writtenAtMs,
    );
  }

  #allNames(): Promise<readonly string[]> {
    const { transfers, clock } = this.#options;
    if (this.#names === undefined || clock.now() - this.#namesAtMs > NAMES_KEEP_MS) {
      this.#namesAtMs = clock.now();
      this.#names = transfers.names();
      this.#names.catch(() => (this.#names = undefined));
    }
    return this.#names;
  }
}

function storedOf({ ref, head: { watermark, writtenAtMs } }: FoundCheckpoint): StoredCheckpoint {
  return { ...ref, watermark, writtenAtMs };
}
