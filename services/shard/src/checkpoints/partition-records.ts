// The records of partitions, and what to do where one was lost: checkpoints say of themselves what they are.

import { randomUUID } from 'node:crypto';
import {
  nextEpoch,
  type PartitionRecord,
  type PartitionRegister,
  type Registered,
  type StoredCheckpoint,
  type Unreadable,
} from '@engram/log';
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
    const removedTo = found?.removedTo ?? 0;
    const [current, previous] = (await this.#checkpointsOf(partition)).filter(
      ({ head }) => head.watermark >= removedTo,
    );
    if (current !== undefined)
      return this.#restore(partition, { epoch: 0, ...found }, current, previous);
    if (found === undefined) return undefined;
    const message = `the record of partition ${partition} is lost or cannot be read`;
    if (removedTo > 0)
      throw new ClusterError(
        'CHECKPOINT_DAMAGED',
        `${message}, and no checkpoint has what was removed from the log`,
        {
          hint: `bring the blobs of its checkpoints back, or correct key ${partition} of the bucket engram-removed if it says too much`,
          details: { removedTo },
        },
      );
    throw new ClusterError('CHECKPOINT_DAMAGED', `${message}, and there is no checkpoint of it`, {
      hint: `delete its key ${partition} if nothing of its log was ever removed`,
    });
  }

  /**
   * A record of which no checkpoint is of use may be an old one that somebody put back: it is made again
   * from others that are whole and have what was removed from the log.
   * @param tried their names are passed over
   * @returns undefined where there are none
   * @throws ClusterError FENCED, LOG_UNAVAILABLE
   */
  async remake(
    partition: PartitionId,
    { record, revision }: Registered,
    tried: ReadonlySet<string>,
  ): Promise<Registered | undefined> {
    const { epoch, trimmedTo: removedTo } = record;
    const there = new Set(await this.#allNames());
    const [current, previous] = (await this.#checkpointsOf(partition)).filter(
      ({ ref, head: { watermark, blobs } }) =>
        watermark >= removedTo &&
        !tried.has(ref.name) &&
        Object.keys(blobs).every((blob) => there.has(blob)),
    );
    if (current === undefined) return undefined;
    return this.#restore(partition, { epoch, revision, removedTo }, current, previous);
  }

  write(
    partition: PartitionId,
    record: PartitionRecord,
    before: Registered | undefined,
  ): Promise<Registered> {
    return this.#options.register.write(partition, record, before);
  }

  async #restore(
    partition: PartitionId,
    found: { readonly epoch: number } & Partial<Omit<Unreadable, 'record'>>,
    current: FoundCheckpoint,
    previous: FoundCheckpoint | undefined,
  ): Promise<Registered> {
    const { register, self, logger } = this.#options;
    const record: PartitionRecord = {
      epoch: nextEpoch(Math.max(current.head.epoch, found.epoch)),
      writer: self,
      claim: randomUUID(),
      current: storedOf(current),
      ...(previous && { previous: storedOf(previous) }),
      // W2: if that is lost too, it was at most up to the checkpoint before the last.
      trimmedTo: found.removedTo || (previous ?? current).head.watermark,
    };
    logger.error({ partition, ...record }, 'the record of a partition was lost, and is made again');
    return register.write(partition, record, { revision: found.revision });
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

function storedOf({ ref, head }: FoundCheckpoint): StoredCheckpoint {
  const { watermark, writtenAtMs, logEnd } = head;
  return { ...ref, watermark, writtenAtMs, ...(logEnd && { logEnd }) };
}
