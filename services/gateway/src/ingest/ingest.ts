// From a request with observations to entries in the log, and to the level the client waits for.

import { randomUUID } from 'node:crypto';
import {
  encodeBatch,
  encodeDeletes,
  readItems,
  type AwaitReply,
  type AwaitRequest,
  type BodyKind,
  type EncodedFrame,
} from '@engram/codec';
import { CONTENT_TYPES } from '@engram/codec';
import type { LogPublisher } from '@engram/log';
import {
  formatPosition,
  partitionOf,
  positionOf,
  type AckLevel,
  type ItemError,
  type Lane,
  type Position,
  type SpaceConfig,
} from '@engram/model';
import { Deadline, type Clock } from '@engram/runtime';
import type { Router } from '../cluster/router.ts';
import type { GatewayMetrics } from '../metrics.ts';

export interface IngestOptions {
  readonly publisher: LogPublisher;
  readonly router: Router;
  readonly metrics: GatewayMetrics;
  readonly clock: Clock;
}

export interface Acknowledgement {
  readonly level: AckLevel;
  /** How long to wait for a level above `logged`. */
  readonly timeoutMs: number;
}

export interface IngestRequest {
  readonly config: SpaceConfig;
  readonly kind: BodyKind;
  readonly bytes: Uint8Array;
  readonly lane: Lane | undefined;
  /** All or nothing: one bad observation refuses the batch. */
  readonly isAtomic: boolean;
  /** The same key stores the same request once; unlike that of any other space, also a former one. */
  readonly key: string | undefined;
  readonly ack: Acknowledgement;
}

export interface IngestResult {
  readonly accepted: number;
  readonly rejected: number;
  /** Observations in the request. */
  readonly total: number;
  readonly errors: readonly ItemError[];
  /** Undefined when nothing was accepted. */
  readonly position: string | undefined;
  /** The level that was reached. */
  readonly ack: AckLevel;
}

export class Ingest {
  readonly #options: IngestOptions;

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  /**
   * Stores the good observations of a body.
   * @throws ClusterError when the body as a whole is refused, or the log does not take it
   */
  async put(request: IngestRequest): Promise<IngestResult> {
    const { metrics, clock } = this.#options;
    const startedAt = clock.now();
    const { config } = request;
    const batch = encodeBatch(readItems(request.kind, request.bytes), {
      dimension: config.dimension,
      metric: config.metric,
      ...(request.lane === undefined ? {} : { lane: request.lane }),
    });
    const rejected = batch.errors.length;
    const total = batch.accepted + rejected;
    for (const { code } of batch.errors) metrics.items.inc({ result: 'rejected', reason: code });
    metrics.bytes.inc(request.bytes.length);
    if (batch.accepted === 0 || (request.isAtomic && rejected > 0))
      return {
        accepted: 0,
        rejected,
        total,
        errors: batch.errors,
        position: undefined,
        ack: 'logged',
      };
    const position = await this.#publish(config, batch.frames, request.key ?? randomUUID());
    metrics.items.inc({ result: 'accepted', reason: 'none' }, batch.accepted);
    metrics.acks.observe({ level: 'logged' }, (clock.now() - startedAt) / 1000);
    const ack = await this.#reach(config, position, request.ack);
    if (ack !== 'logged') metrics.acks.observe({ level: ack }, (clock.now() - startedAt) / 1000);
    return {
      accepted: batch.accepted,
      rejected,
      total,
      errors: batch.errors,
      position: formatPosition(position),
      ack,
    };
  }

  /** A delete is an entry of its own; it takes the high lane, so that space is freed under load. */
  async delete(
    config: SpaceConfig,
    id: string,
    ack: Acknowledgement,
  ): Promise<{ readonly position: string; readonly ack: AckLevel }> {
    const frame: EncodedFrame = { lane: 'high', bytes: encodeDeletes([id]), count: 1 };
    const position = await this.#publish(config, [frame], randomUUID());
    return { position: formatPosition(position), ack: await this.#reach(config, position, ack) };
  }

  /** Sent again after a failure, the batch is stored once more under the same ids: nothing doubles. */
  async #publish(
    config: SpaceConfig,
    frames: readonly EncodedFrame[],
    key: string,
  ): Promise<Position> {
    const { publisher, router } = this.#options;
    const { space } = config;
    const partition = partitionOf(space, router.partitionCount);
    const stored = await publisher.publish(
      frames.map(({ lane, bytes }, index) => ({
        space,
        partition,
        lane,
        bytes,
        contentType: CONTENT_TYPES.frame,
        // Ids are shared by a whole stream; the key is random, or a hash that no other space has.
        messageId: `${key}:${index}`,
      })),
    );
    const entries = stored.map(({ sequence }, index) => ({ lane: frames[index]!.lane, sequence }));
    return positionOf(partition, entries);
  }

  /** Waits for a level; the data is in whatever happens here, so nothing here is an error. */
  async #reach(
    config: SpaceConfig,
    position: Position,
    { level, timeoutMs }: Acknowledgement,
  ): Promise<AckLevel> {
    if (level === 'logged') return level;
    const { router, clock } = this.#options;
    const deadline = new Deadline(clock, timeoutMs);
    while (!deadline.isOver) {
      const remainingMs = deadline.remainingMs;
      const body: AwaitRequest = {
        config,
        position: formatPosition(position),
        level,
        timeoutMs: remainingMs,
      };
      try {
        const slackMs = 250; // for the answer itself
        const { reply } = await router.ask<AwaitReply>(
          config,
          'await',
          body,
          remainingMs + slackMs,
        );
        return reply.isReached ? level : 'logged';
      } catch {
        // Its shard is gone or NATS is away: the next owner is asked while there is time.
        await clock.sleep(Math.min(100, deadline.remainingMs));
      }
    }
    return 'logged';
  }
}
