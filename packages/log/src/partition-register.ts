// What is stored of each partition and who may store more: one record for each, in a JetStream KV bucket.
//
//   M1. A record is replaced only by who read it: compare and set by its revision.
//   M2. A new writer raises the epoch, so that the one before fails at its next write, whatever it believes.
//   M3. `trimmedTo` is told before entries are removed from the log: in the record, and then in a bucket of
//       its own. A record that was lost, or that says less, does not make a trimmed log look whole.

import { ClusterError, type PartitionId } from '@engram/model';
import type { KV } from 'nats';
import { Bucket } from './bucket.ts';
import type { LogConnection } from './connection.ts';
import { isWrongLastSequence, toLogError } from './errors.ts';
import { decodeRecord, type PartitionRecord } from './partition-record.ts';

const BUCKET = 'engram-partitions';
const REMOVED_BUCKET = 'engram-removed';

/** A record as it was read or written. */
export interface Registered {
  readonly record: PartitionRecord;
  readonly revision: number;
}

/** What stands in a record's place, though no shard wrote it. */
export interface Unreadable {
  readonly record: undefined;
  /** Undefined where nothing stands there, though entries were removed. */
  readonly revision: number | undefined;
  /** Entries up to this sequence may be gone from the log. */
  readonly removedTo: number;
}

export class PartitionRegister {
  readonly #records: Bucket<KV>;
  readonly #removed: Bucket<KV>;

  private constructor(records: Bucket<KV>, removed: Bucket<KV>) {
    this.#records = records;
    this.#removed = removed;
  }

  static async start(connection: LogConnection, replicas: number): Promise<PartitionRegister> {
    const options = { history: 1, replicas };
    const { views } = connection.nc.jetstream();
    return new PartitionRegister(
      await Bucket.start(() => views.kv(BUCKET, options)),
      await Bucket.start(() => views.kv(REMOVED_BUCKET, options)),
    );
  }

  /** @throws ClusterError LOG_UNAVAILABLE */
  async find(partition: PartitionId): Promise<Registered | Unreadable | undefined> {
    try {
      // In this order: what is removed meanwhile stands in the record (M3).
      const { upTo: removedTo } = await this.#removedOf(partition);
      const entry = await this.#records.use((kv) => kv.get(String(partition)));
      if (entry === null || entry.operation !== 'PUT')
        return removedTo === 0 ? undefined : { record: undefined, revision: undefined, removedTo };
      const { revision } = entry;
      const record = decodeRecord(partition, entry.string(), removedTo);
      return record === undefined ? { record, revision, removedTo } : { record, revision };
    } catch (error) {
      throw toLogError(error);
    }
  }

  /**
   * Tells that entries of a partition are about to be removed, whose record says so already (M3).
   * @throws ClusterError LOG_UNAVAILABLE
   */
  async removing(partition: PartitionId, upTo: number): Promise<void> {
    try {
      const before = await this.#removedOf(partition);
      if (before.upTo >= upTo) return;
      // A writer before this one, which is late, must not tell less.
      const { revision: previousSeq } = before;
      await this.#removed.use((kv) => kv.put(String(partition), String(upTo), { previousSeq }));
    } catch (error) {
      throw toLogError(error);
    }
  }

  /** What is no number there tells nothing. */
  async #removedOf(
    partition: PartitionId,
  ): Promise<{ readonly upTo: number; readonly revision: number }> {
    const entry = await this.#removed.use((kv) => kv.get(String(partition)));
    const upTo = Number(entry?.operation === 'PUT' ? entry.string() : 0);
    return { upTo: Number.isSafeInteger(upTo) ? upTo : 0, revision: entry?.revision ?? 0 };
  }

  /**
   * Takes the place of what was read (M1).
   * @param before undefined where nothing was
   * @throws ClusterError FENCED when it is not there as it was read any more, LOG_UNAVAILABLE
   */
  async write(
    partition: PartitionId,
    record: PartitionRecord,
    before: { readonly revision: number | undefined } | undefined,
  ): Promise<Registered> {
    const key = String(partition);
    const text = JSON.stringify(record);
    try {
      const last = before?.revision;
      const revision = await this.#records.use((kv) =>
        last === undefined ? kv.create(key, text) : kv.update(key, text, last),
      );
      return { record, revision };
    } catch (error) {
      const found = await this.find(partition).catch(() => undefined);
      if (found?.record === undefined) {
        if (!isWrongLastSequence(error)) throw toLogError(error);
        // Who goes on with what was read would fail for ever.
        const message = `the record of partition ${partition} was lost, or cannot be read`;
        throw new ClusterError('FENCED', message, { cause: error });
      }
      // The answer to our own write was lost.
      if (JSON.stringify(found.record) === text) return found;
      if (found.revision === before?.revision) throw toLogError(error);
      throw new ClusterError('FENCED', `${found.record.writer} writes partition ${partition} now`, {
        cause: error,
        details: { epoch: found.record.epoch },
      });
    }
  }
}
