// From an entry of the log to the index, or to the dead letters.
//
//   A1. Every entry ends in one of the two; an outage makes it wait, never vanish.
//   A2. A refused entry or item stops nothing that comes after it.

import { sniffBodyKind } from '@engram/codec';
import {
  isToken,
  partitionOf,
  type ErrorCode,
  type ItemError,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import {
  writeDeadLetter,
  type LogConnection,
  type LogMessage,
  type SpaceDirectory,
} from '@engram/log';
import { backoffMs, type Clock, type Logger } from '@engram/runtime';
import type { WorkerPool } from '@engram/worker-pool';
import type { ShardMetrics } from './metrics.ts';
import type { ApplyAnswer, WorkerRequest } from './worker/protocol.ts';

export interface ApplierOptions {
  readonly connection: LogConnection;
  readonly directory: SpaceDirectory;
  readonly pool: WorkerPool;
  readonly partitionCount: number;
  readonly isReady: (partition: PartitionId) => boolean;
  readonly metrics: ShardMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

export class Applier {
  readonly #options: ApplierOptions;

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /** Settles when the entry is applied or set aside; does neither once it is not current any more. */
  async apply(message: LogMessage, isCurrent: () => boolean): Promise<void> {
    const { metrics, clock, partitionCount, pool } = this.#options;
    const { space, lane } = message;
    if (!isToken(space)) {
      await this.#setAside(
        message,
        message.bytes,
        refusal('INVALID_SPACE_NAME', 'the subject names no possible space'),
      );
      return;
    }
    const id = space as SpaceId;
    if (partitionOf(id, partitionCount) !== message.partition) {
      const detail = `the space belongs to partition ${partitionOf(id, partitionCount)}`;
      await this.#setAside(message, message.bytes, refusal('WRONG_PARTITION', detail));
      return;
    }
    const config = await this.#configOf(id);
    if (!isCurrent()) return;
    if (config === undefined) {
      await this.#setAside(
        message,
        message.bytes,
        refusal('SPACE_NOT_FOUND', 'there is no such space'),
      );
      return;
    }
    const kind = sniffBodyKind(message.contentType, message.bytes);
    if (kind === undefined) {
      await this.#setAside(
        message,
        message.bytes,
        refusal('UNSUPPORTED_MEDIA_TYPE', 'the content type is not known'),
      );
      return;
    }
    const { partition, sequence, bytes } = message;
    const request: WorkerRequest = {
      verb: 'apply',
      config,
      partition,
      lane,
      sequence,
      kind,
      bytes,
    };
    const answer = (await pool.threadFor(id).request(request, [bytes.buffer])) as ApplyAnswer;
    metrics.applied[lane].inc(answer.applied);
    metrics.stale.inc(answer.stale);
    const freshness = Math.max(0, clock.wallNow() - message.storedAtMs) / 1000;
    // A replay applies what is old by nature; only what arrived to a ready shard tells of freshness.
    if (answer.applied > 0 && this.#options.isReady(partition))
      metrics.freshness[lane].observe(freshness);
    if (answer.bytes !== undefined) await this.#setAside(message, answer.bytes, answer.errors);
  }

  #configOf(space: SpaceId): Promise<SpaceConfig | undefined> {
    const { directory } = this.#options;
    const known = directory.peek(space);
    if (known !== undefined) return Promise.resolve(known);
    return this.#untilDone(() => directory.find(space), 'a space could not be looked up');
  }

  async #setAside(
    message: LogMessage,
    bytes: Uint8Array,
    errors: readonly ItemError[],
  ): Promise<void> {
    const { connection, metrics, logger } = this.#options;
    const isNew = await this.#untilDone(
      () => writeDeadLetter(connection, message, bytes, errors),
      'a dead letter could not be written',
    );
    if (!isNew) return;
    for (const { code } of errors) metrics.deadLetters.inc({ reason: code });
    logger.warn(
      {
        sequence: message.sequence,
        partition: message.partition,
        reason: errors[0]?.code,
        items: errors.length,
      },
      'dead letter',
    );
  }

  /** Repeats a call to NATS until it is answered; only the end of the process ends it (A1). */
  async #untilDone<T>(run: () => Promise<T>, what: string): Promise<T> {
    const { clock, logger, stop } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await run();
      } catch (error) {
        if (stop.aborted) throw error;
        if (attempt % 10 === 0) logger.warn({ err: error, attempt }, what);
        await clock.sleep(backoffMs(attempt, 50, 2_000, Math.random), stop);
      }
    }
  }
}

function refusal(code: ErrorCode, detail: string): ItemError[] {
  return [{ index: 0, code, detail }];
}
