// What is stored of each partition and who may store more: one record for each, in a JetStream KV bucket.
//
//   M1. A record is replaced only by who read it: compare and set by its revision.
//   M2. A new writer raises the epoch, so that the one before fails at its next write, whatever it believes.
//   M3. `trimmedTo` is told before entries are removed from the log.

import { ClusterError, type PartitionId } from '@engram/model';
import { NatsError, type KV } from 'nats';
import type { LogConnection } from './connection.ts';
import { toLogError } from './errors.ts';
import { decodeRecord, type PartitionRecord } from './partition-record.ts';
import { WRONG_LAST_SEQUENCE } from './streams.ts';

const BUCKET = 'engram-partitions';

/** A record as it was read or written. */
export interface Registered {
  readonly record: PartitionRecord;
  readonly revision: number;
}

/** What stands in a record's place, though no shard wrote it. */
export interface Unreadable {
  readonly record: undefined;
  readonly revision: number;
}

export class PartitionRegister {
  readonly #kv: KV;

  private constructor(kv: KV) {
    this.#kv = kv;
  }

  static async start(connection: LogConnection, replicas: number): Promise<PartitionRegister> {
    const options = { history: 1, replicas };
    return new PartitionRegister(await connection.nc.jetstream().views.kv(BUCKET, options));
  }

  /** @throws ClusterError LOG_UNAVAILABLE, CHECKPOINT_DAMAGED for a record that cannot be read */
  async read(partition: PartitionId): Promise<Registered | undefined> {
    const found = await this.find(partition);
    if (found !== undefined && found.record === undefined)
      throw new ClusterError(
        'CHECKPOINT_DAMAGED',
        `the record of partition ${partition} cannot be read`,
      );
    return found;
  }

  /** @throws ClusterError LOG_UNAVAILABLE */
  async find(partition: PartitionId): Promise<Registered | Unreadable | undefined> {
    try {
      const entry = await this.#kv.get(String(partition));
      if (entry === null || entry.operation !== 'PUT') return undefined;
      return { record: decodeRecord(entry.string()), revision: entry.revision };
    } catch (error) {
      throw toLogError(error);
    }
  }

  /**
   * Takes the place of what was read (M1).
   * @param before undefined where nothing was
   * @throws ClusterError FENCED when it is not there as it was read any more, LOG_UNAVAILABLE
   */
  async write(
    partition: PartitionId,
    record: PartitionRecord,
    before: Pick<Registered, 'revision'> | undefined,
  ): Promise<Registered> {
    const key = String(partition);
    const text = JSON.stringify(record);
    try {
      const revision =
        before === undefined
          ? await this.#kv.create(key, text)
          : await this.#kv.update(key, text, before.revision);
      return { record, revision };
    } catch (error) {
      const found = await this.find(partition).catch(() => undefined);
      if (found?.record === undefined) {
        if (!isReplaced(error)) throw toLogError(error);
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

function isReplaced(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === WRONG_LAST_SEQUENCE;
}
