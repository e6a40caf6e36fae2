// Writes straight to NATS, past the gateways: one hop less, and the acknowledgement is the log's own.

import { refusalError } from '@engram/admission';
import { CONTENT_TYPES, type EncodedFrame } from '@engram/codec';
import {
  LogConnection,
  observeSubject,
  onSignals,
  publishUntil,
  readLayout,
  type ConnectionOptions,
} from '@engram/log';
import {
  ClusterError,
  DEFAULT_LANE,
  formatPosition,
  LANES,
  parseSpaceId,
  partitionOf,
  positionOf,
  type AckLevel,
  type Observation,
  type SpaceId,
} from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { judged } from '../errors.ts';
import { listOf } from '../observations.ts';
import type { ProducerOptions } from '../producer/options.ts';
import { Producer } from '../producer/producer.ts';
import type { PutOptions, PutResult } from '../types.ts';
import { checkedUrl } from '../urls.ts';
import { framesOf } from './frames.ts';
import { messageIdOf } from './message-id.ts';
import { ShardSignals } from './shard-signals.ts';

export interface NatsWriterOptions extends Omit<
  ConnectionOptions,
  'name' | 'connectTimeoutMs' | 'clock' | 'logger'
> {
  /** Shown in the server's list of connections; default `engram-writer`. */
  readonly name?: string;
  /** Of the connection, and of each frame with its repetitions; default 10,000. */
  readonly timeoutMs?: number;
}

/** `ack` may only be `logged`: no shard answers here. */
export type NatsPutOptions = Pick<
  PutOptions,
  'ack' | 'lane' | 'requestId' | 'signal' | 'onPartial'
>;

const TIMEOUT_MS = 10_000;
const ERRORS_MAX = 100;

/**
 * What it writes is judged by the shards: what they refuse becomes a dead letter, and so does everything for a
 * space that does not exist. Each call is one try; `producer` repeats, and is slowed by what the shards say.
 */
export class NatsWriter implements AsyncDisposable {
  readonly #connection: LogConnection;
  readonly #signals: ShardSignals;
  readonly #unlisten: () => void;
  readonly #partitionCount: number;
  readonly #timeoutMs: number;

  private constructor(connection: LogConnection, partitionCount: number, timeoutMs: number) {
    this.#connection = connection;
    this.#partitionCount = partitionCount;
    this.#timeoutMs = timeoutMs;
    this.#signals = new ShardSignals(partitionCount, Math.random);
    this.#unlisten = onSignals(connection, this.#signals.take);
  }

  /**
   * @throws ClusterError LOG_UNAVAILABLE where no NATS answers, or no cluster was made on it
   * @throws TypeError for a url that is missing or none of NATS
   */
  static async connect(options: NatsWriterOptions): Promise<NatsWriter> {
    const { name = 'engram-writer', timeoutMs = TIMEOUT_MS, ...server } = options;
    checkedUrl(server.url, ['nats:', 'tls:'], 'nats://127.0.0.1:4222');
    const connection = await LogConnection.start({
      ...server,
      name,
      connectTimeoutMs: timeoutMs,
      clock: systemClock,
      logger: createLogger('client', name, 'silent'),
    });
    try {
      const { partitionCount } = await readLayout(connection);
      return new NatsWriter(connection, partitionCount, timeoutMs);
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /**
   * Writes observations of one dimension, that of the first. The same observations, written into the same
   * space with the same request id within two minutes, are stored once, and have the position of the first time.
   * @throws PartialFailure when no shard could take some, unless `onPartial` is `return`
   * @throws ClusterError NOTHING_ACCEPTED when that is so of all, with the PartialFailure as its cause; EMPTY_BATCH
   * @throws ClusterError BACKPRESSURE, MEMORY_LIMIT, PARTITION_UNAVAILABLE as the owner says; LOG_UNAVAILABLE,
   *   LOG_FULL: some may be stored then
   * @throws TypeError for what is no list, or cannot be JSON, and for another `ack` than `logged`
   */
  async put(
    space: string,
    given: readonly Observation[],
    options: NatsPutOptions = {},
  ): Promise<PutResult> {
    const observations = listOf(given);
    const { ack, lane = DEFAULT_LANE, requestId = crypto.randomUUID(), signal } = options;
    refuseBeyondLog(ack);
    const id = parseSpaceId(space);
    const partition = partitionOf(id, this.#partitionCount);
    if (observations.length === 0)
      throw new ClusterError('EMPTY_BATCH', 'there is no observation to write');
    const { frames, accepted, errors } = framesOf(observations, lane);
    for (const each of LANES) {
      if (!frames.some((frame) => frame.lane === each)) continue;
      const refusal = this.#signals.refusal(id, partition, each);
      if (refusal !== undefined) throw refusalError(refusal);
    }
    const stored: { lane: EncodedFrame['lane']; sequence: number }[] = [];
    for (const frame of frames) {
      signal?.throwIfAborted();
      // Of a duplicate it is the sequence of the first: the same frame, of the same space.
      const { sequence } = await this.#publish(id, frame, messageIdOf(id, requestId, frame));
      stored.push({ lane: frame.lane, sequence });
    }
    const result: PutResult = {
      accepted,
      rejected: errors.length,
      ...(stored.length === 0
        ? {}
        : { position: formatPosition(positionOf(partition, stored)), ack: 'logged' }),
      errors: errors.slice(0, ERRORS_MAX),
      errorsTruncated: errors.length > ERRORS_MAX,
    };
    return judged(result, options.onPartial);
  }

  /** The producer of `EngramClient`, over NATS; its `ack` is `logged`. To be closed before the writer. */
  producer(space: string, options: ProducerOptions = {}): Producer {
    refuseBeyondLog(options.ack);
    const lane = options.lane === undefined ? {} : { lane: options.lane };
    const common = { ...lane, onPartial: 'return' } as const;
    return new Producer((given, each) => this.put(space, given, { ...common, ...each }), options);
  }

  async close(): Promise<void> {
    this.#unlisten();
    await this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #publish(space: SpaceId, { lane, bytes }: EncodedFrame, messageId: string) {
    return publishUntil(this.#connection, {
      subject: observeSubject(lane, space),
      bytes,
      headers: { 'Content-Type': CONTENT_TYPES.frame },
      messageId,
      timeoutMs: this.#timeoutMs,
      clock: systemClock,
    });
  }
}

/** @throws TypeError */
function refuseBeyondLog(ack: AckLevel = 'logged'): void {
  if (ack !== 'logged')
    throw new TypeError(
      `over NATS the ack is logged, not ${ack}: recall with the position as minPosition, or write with EngramClient`,
    );
}
