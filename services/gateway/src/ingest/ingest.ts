// From a request with observations to entries in the log, and to the level the client waits for.

import { randomUUID } from 'node:crypto';
import {
  CONTENT_TYPES,
  encodeBatch,
  encodeDeletes,
  passFrame,
  readItems,
  type AwaitReply,
  type AwaitRequest,
  type BatchItem,
  type BodyKind,
  type EncodedFrame,
} from '@engram/codec';
import type { LogPublisher } from '@engram/log';
import {
  DEFAULT_LANE,
  formatPosition,
  partitionOf,
  positionOf,
  type AckLevel,
  type ItemError,
  type Lane,
  type MemberId,
  type Position,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { Deadline, type Clock } from '@engram/runtime';
import { traced, type Span, type Tracing } from '@engram/tracing';
import type { Admission } from '../admission/admission.ts';
import type { Asker, Limits } from '../admission/limits.ts';
import type { Router } from '../cluster/router.ts';
import type { GatewayMetrics } from '../metrics.ts';

/** Who serves the partition is looked at so often: a shard that is silent leaves the view. */
const ROUND_MS = 1_000;

export interface IngestOptions {
  readonly publisher: LogPublisher;
  readonly router: Router;
  readonly admission: Admission;
  readonly limits: Limits;
  readonly metrics: GatewayMetrics;
  readonly tracing: Tracing;
  readonly clock: Clock;
}

export interface Acknowledgement {
  readonly level: AckLevel;
  /** How long to wait for a level above `logged`. */
  readonly timeoutMs: number;
}

export interface IngestRequest {
  readonly config: SpaceConfig;
  /** Whom its observations are counted for. */
  readonly asker: Asker;
  /** What the bytes are, or how to get the items that they hold. */
  readonly kind: BodyKind | (() => BatchItem[]);
  readonly bytes: Uint8Array;
  readonly lane: Lane | undefined;
  /** All or nothing: one bad observation refuses the batch. */
  readonly isAtomic: boolean;
  /** The same key stores the same request once; unlike that of any other space, also a former one. */
  readonly key: string | undefined;
  readonly ack: Acknowledgement;
  /** Of the request that brought it. */
  readonly span?: Span | undefined;
  /** The log has it: what is waited for from here on costs the gateway nothing. */
  readonly onLogged?: () => void;
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
   * Refuses what would be refused whatever it is, before its body is read.
   * @throws ClusterError whose details are a `Refusal`
   */
  admit(space: SpaceId, lane: Lane): void {
    this.#options.admission.admit(space, ['high'], lane); // the last that closes
  }

  /**
   * Refuses what would be refused anyway, before it is decoded.
   * @throws ClusterError whose details are a `Refusal`
   */
  admitBody({ config, bytes, lane }: Pick<IngestRequest, 'config' | 'bytes' | 'lane'>): void {
    // Items may name a lane of their own, and then only they say which.
    const namesLanes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('lane');
    this.#options.admission.admit(config.space, [namesLanes ? 'high' : (lane ?? DEFAULT_LANE)]);
  }

  /**
   * Stores the good observations of a body.
   * @throws ClusterError when the body as a whole is refused, or the log does not take it
   */
  async put(request: IngestRequest): Promise<IngestResult> {
    const { metrics, limits, clock } = this.#options;
    const startedAt = clock.now();
    const { config, kind, bytes } = request;
    const batchOptions = {
      dimension: config.dimension,
      metric: config.metric,
      ...(request.lane === undefined ? {} : { lane: request.lane }),
    };
    const batch =
      (kind === 'frame' ? passFrame(bytes, batchOptions) : undefined) ??
      encodeBatch(typeof kind === 'function' ? kind() : readItems(kind, bytes), batchOptions);
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
    const lanes = new Set(batch.frames.map(({ lane }) => lane));
    this.#options.admission.admit(config.space, lanes);
    limits.spend(request.asker, 'write', total);
    const position = await this.#publish(config, batch.frames, request.key ?? randomUUID(), {
      span: request.span,
    });
    request.onLogged?.();
    metrics.items.inc({ result: 'accepted', reason: 'none' }, batch.accepted);
    metrics.itemsBySpace.add(request.config.space, batch.accepted);
    metrics.acks.observe({ level: 'logged' }, (clock.now() - startedAt) / 1000);
    const ack = await this.reach(config, position, request.ack);
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

  /**
   * A delete is an entry of its own; it takes the high lane, so that space is freed under load.
   * @param key as of a put
   * @param span of the request that brought it
   */
  async delete(
    config: SpaceConfig,
    id: string,
    ack: Acknowledgement,
    key: string | undefined,
    span?: Span,
  ): Promise<{ readonly position: string; readonly ack: AckLevel }> {
    const frame: EncodedFrame = { lane: 'high', bytes: encodeDeletes([id]), count: 1 };
    const position = await this.#publish(config, [frame], key ?? randomUUID(), {
      isDelete: true,
      span,
    });
    return { position: formatPosition(position), ack: await this.reach(config, position, ack) };
  }

  /** Sent again after a failure, the batch is stored once more under the same ids: nothing doubles. */
  async #publish(
    config: SpaceConfig,
    frames: readonly EncodedFrame[],
    key: string,
    {
      isDelete = false,
      span,
    }: { readonly isDelete?: boolean; readonly span?: Span | undefined } = {},
  ): Promise<Position> {
    const { publisher, router, tracing } = this.#options;
    const { space, afterSequence } = config;
    const publishing = tracing.continue('publish', span?.traceparent, {
      kind: 'producer',
      attributes: { 'messaging.system': 'nats', 'messaging.batch.message_count': frames.length },
    });
    const partition = partitionOf(space, router.partitionCount);
    const entries = frames.map(({ lane, bytes }, index) => ({
      space,
      afterSequence,
      partition,
      lane,
      bytes,
      contentType: CONTENT_TYPES.frame,
      // Ids are shared by a whole stream; the key is random, or a hash that no other space has.
      messageId: `${key}:${index}`,
      traceparent: publishing?.traceparent,
    }));
    const stored = await traced(publishing, () => publisher.publish(entries, { isDelete }));
    return positionOf(
      partition,
      stored.map(({ sequence }, index) => ({ lane: frames[index]!.lane, sequence })),
    );
  }

  /**
   * Waits until every shard that a recall may be answered by has reached the level. The data is in
   * whatever happens here, so nothing here is an error.
   */
  async reach(
    config: SpaceConfig,
    position: Position,
    { level, timeoutMs }: Acknowledgement,
  ): Promise<AckLevel> {
    if (level === 'logged') return level;
    const { router, clock } = this.#options;
    const deadline = new Deadline(clock, timeoutMs);
    const reached = new Set<MemberId>();
    for (;;) {
      const shards = router.serving(position.partition);
      const missing = shards.filter((shard) => !reached.has(shard));
      if (shards.length > 0 && missing.length === 0) return level;
      if (deadline.isOver) return 'logged';
      const roundMs = Math.min(ROUND_MS, deadline.remainingMs);
      const body: AwaitRequest = {
        config,
        position: formatPosition(position),
        level,
        timeoutMs: roundMs,
      };
      const told = missing.map(async (shard) => {
        const slackMs = 250; // for the answer itself
        const { isReached } = await router.askMember<AwaitReply>(
          shard,
          'await',
          body,
          roundMs + slackMs,
        );
        if (isReached) reached.add(shard);
      });
      const outcomes = await Promise.allSettled(told);
      // A shard is gone or NATS is away: the owners of then are asked while there is time.
      if (missing.length === 0 || outcomes.some(({ status }) => status === 'rejected'))
        await clock.sleep(Math.min(100, deadline.remainingMs));
    }
  }
}
