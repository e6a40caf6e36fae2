// Writes straight to NATS, past the gateways: one hop less, and the acknowledgement is the log's own.

import { refusalError } from '@engram/admission';
import { CONTENT_TYPES, encodeBatch, type EncodedFrame } from '@engram/codec';
import {
  LogConnection,
  observeSubject,
  onSignals,
  publishUntil,
  readLayout,
  type ConnectionOptions,
} from '@engram/log';
import {
  DEFAULT_LANE,
  formatPosition,
  LANES,
  parseSpaceId,
  partitionOf,
  positionOf,
  type Observation,
  type SpaceId,
} from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import type { ProducerOptions } from '../producer/options.ts';
import { Producer } from '../producer/producer.ts';
import type { PutOptions, PutResult } from '../types.ts';
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

export type NatsPutOptions = Pick<PutOptions, 'lane' | 'idempotencyKey' | 'signal'>;

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

  /** @throws ClusterError LOG_UNAVAILABLE where no NATS answers, or no cluster was made on it */
  static async connect(options: NatsWriterOptions): Promise<NatsWriter> {
    const { name = 'engram-writer', timeoutMs = TIMEOUT_MS, ...server } = options;
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
   * Writes observations of one dimension, that of the first. Those that no shard could take are told in the
   * result. Repeated within two minutes with the same key they are stored once.
   * @throws ClusterError BACKPRESSURE, MEMORY_LIMIT, PARTITION_UNAVAILABLE as the owner says; LOG_UNAVAILABLE,
   *   LOG_FULL: some may be stored then
   */
  async put(
    space: string,
    observations: readonly Observation[],
    { lane = DEFAULT_LANE, idempotencyKey = crypto.randomUUID(), signal }: NatsPutOptions = {},
  ): Promise<PutResult> {
    const id = parseSpaceId(space);
    const partition = partitionOf(id, this.#partitionCount);
    const items = observations.map((value, index) => ({ value, pointer: `/${index}` }));
    const { frames, accepted, errors } = encodeBatch(items, {
      dimension: dimensionOf(observations[0]),
      // The zero vector is for the shard to judge, which knows the metric.
      metric: 'ip',
      lane,
    });
    for (const each of LANES) {
      if (!frames.some((frame) => frame.lane === each)) continue;
      const refusal = this.#signals.refusal(id, partition, each);
      if (refusal !== undefined) throw refusalError(refusal);
    }
    const stored: { lane: EncodedFrame['lane']; sequence: number }[] = [];
    for (const [index, frame] of frames.entries()) {
      signal?.throwIfAborted();
      const { sequence } = await this.#publish(id, frame, `${idempotencyKey}-${index}`);
      stored.push({ lane: frame.lane, sequence });
    }
    return {
      accepted,
      rejected: errors.length,
      ...(stored.length === 0
        ? {}
        : { position: formatPosition(positionOf(partition, stored)), ack: 'logged' }),
      errors: errors.slice(0, ERRORS_MAX),
      errorsTruncated: errors.length > ERRORS_MAX,
    };
  }

  /** The producer of `EngramClient`, over NATS; its `ack` is `logged`. To be closed before the writer. */
  producer(space: string, options: Omit<ProducerOptions, 'ack'> = {}): Producer {
    const lane = options.lane === undefined ? {} : { lane: options.lane };
    return new Producer((given, each) => this.put(space, given, { ...lane, ...each }), options);
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

/** 1 where it has none: the observation is then refused by name. */
function dimensionOf(first: Observation | undefined): number {
  const { embedding }: Partial<Observation> = first ?? {};
  if (typeof embedding !== 'string') return Math.max(1, embedding?.length ?? 0);
  return Math.max(1, Math.floor(atob(embedding).length / 4));
}
