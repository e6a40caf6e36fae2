// From an entry of the log to the index, or to the dead letters.
//
//   A1. Every entry ends in one of the two; an outage makes it wait, never vanish.
//   A2. A refused entry or item stops nothing that comes after it.

import { sniffBodyKind } from '@engram/codec';
import {
  ClusterError,
  isToken,
  partitionOf,
  type ErrorCode,
  type ItemError,
  type PartitionId,
  type PerLane,
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
import type { Applied, Entry, ShardEngine } from '@engram/engine';
import { traced, type Span, type Tracing } from '@engram/tracing';
import type { EntryCounts } from './entry-counts.ts';
import type { ShardMetrics } from './metrics.ts';
import type { LaneFlow } from './pressure/lane-flow.ts';

/** The reader leaves what does not fit in the log; more than that comes rarely. */
const FULL_WAIT_MS = 20;
/** At the limit of memory thousands may wait, for long. */
const SHORT_WAIT_MS = 500;

export interface ApplierOptions {
  readonly connection: LogConnection;
  readonly directory: SpaceDirectory;
  readonly engine: ShardEngine;
  readonly counts: EntryCounts;
  readonly flow: PerLane<LaneFlow>;
  readonly partitionCount: number;
  readonly isReady: (partition: PartitionId) => boolean;
  readonly metrics: ShardMetrics;
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Once nobody reads what is applied: entries are then called applied that are not. */
  readonly stop: AbortSignal;
}

export class Applier {
  readonly #options: ApplierOptions;

  constructor(options: ApplierOptions) {
    this.#options = options;
  }

  /** Settles when the entry is applied or set aside; does neither once it is not current any more. */
  apply(message: LogMessage, isCurrent: () => boolean): Promise<void> {
    const { tracing, isReady } = this.#options;
    const { traceparent, partition, lane } = message;
    // A replay is not what the request waited for.
    const span = tracing.continue('apply', isReady(partition) ? traceparent : undefined, {
      kind: 'consumer',
      attributes: { 'engram.partition': partition, 'engram.lane': lane },
      // What it waited in the log is a part of it.
      startedAtMs: message.storedAtMs,
    });
    return traced(span, () => this.#apply(message, isCurrent, span));
  }

  async #apply(
    message: LogMessage,
    isCurrent: () => boolean,
    span: Span | undefined,
  ): Promise<void> {
    const { metrics, clock, partitionCount } = this.#options;
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
    const config = await this.#configOf(id, message.afterSequence);
    if (!isCurrent()) return;
    if (config instanceof ClusterError) {
      await this.#setAside(message, message.bytes, refusal(config.code, config.message));
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
    const working = this.#options.tracing.continue('worker', span?.traceparent, {
      kind: 'internal',
    });
    const applied = await traced(working, () =>
      this.#applied(message, { config, kind }, isCurrent),
    );
    if (applied === undefined) return;
    metrics.applied[lane].inc(applied.applied);
    metrics.stale.inc(applied.stale);
    const freshness = Math.max(0, clock.wallNow() - message.storedAtMs) / 1000;
    // A replay applies what is old by nature; only what arrived to a ready shard tells of freshness.
    if (applied.applied > 0 && this.#options.isReady(message.partition))
      metrics.freshness[lane].observe(freshness);
    if (applied.errors.length > 0) await this.#setAside(message, message.bytes, applied.errors);
  }

  /** Waits until the engine takes the entry; undefined when the partition was let go meanwhile. */
  async #applied(
    message: LogMessage,
    found: Pick<Entry, 'config' | 'kind'>,
    isCurrent: () => boolean,
  ): Promise<Applied | undefined> {
    const { engine, counts, flow, clock, stop, isReady } = this.#options;
    const { partition, lane, sequence, bytes } = message;
    const observations = counts.of(found.kind, bytes);
    const entry: Entry = { ...found, partition, lane, sequence, bytes, observations };
    // A replay is no load that clients could lessen.
    const end = isReady(partition)
      ? flow[lane].begin(found.config.space, observations, bytes.length)
      : undefined;
    let applied: Applied | undefined;
    try {
      while (isCurrent() && !stop.aborted) {
        applied = await engine.apply(entry, { isReplay: !isReady(partition) });
        if (applied !== undefined) break;
        await clock.sleep(engine.memory === 'hard' ? SHORT_WAIT_MS : FULL_WAIT_MS, stop);
      }
    } finally {
      end?.(applied !== undefined);
    }
    return applied;
  }

  /**
   * The space that an entry was meant for: what is known here may be late, and an entry of a space that was
   * made again must not go to the one before.
   * @returns an error where there is no space, or a damaged one
   */
  async #configOf(space: SpaceId, afterSequence: number): Promise<SpaceConfig | ClusterError> {
    const { directory } = this.#options;
    const known = directory.peek(space);
    if (known !== undefined && known.afterSequence >= afterSequence) return known;
    const look = async () => {
      try {
        const found = await directory.find(space, afterSequence);
        return found ?? new ClusterError('SPACE_NOT_FOUND', 'there is no such space');
      } catch (error) {
        if (error instanceof ClusterError && error.code === 'SPACE_DAMAGED') return error;
        throw error;
      }
    };
    return this.#untilDone(look, 'a space could not be looked up');
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
