// The questions of gateways, answered by the worker that has the space.

import { randomUUID } from 'node:crypto';
import type {
  AwaitReply,
  AwaitRequest,
  CursorRequest,
  GetReply,
  GetRequest,
  IdsReply,
  IdsRequest,
  NextReply,
  NextRequest,
  RecallReply,
  RecallRequest,
  ShardMethod,
  Standing,
  StatsReply,
  StatsRequest,
  StatusReply,
  WireHit,
} from '@engram/codec';
import type { RpcMethod } from '@engram/log';
import {
  ClusterError,
  formatPosition,
  LANES,
  parsePosition,
  partitionOf,
  perLane,
  type PartitionId,
  type PerLane,
  type Position,
  type SpaceConfig,
} from '@engram/model';
import type { PartitionReader } from '@engram/partition';
import { Deadline, type Clock } from '@engram/runtime';
import type { PageAnswer, RecallTask, ShardEngine } from '@engram/engine';
import { traced, type Tracing } from '@engram/tracing';
import type { StorageHealth } from '../checkpoints/storage-health.ts';
import type { ShardMetrics } from '../metrics.ts';
import type { LaneFlow } from '../pressure/lane-flow.ts';
import { ExactTurns } from './exact-turns.ts';
import type { RecallSampler } from './recall-sampler.ts';

/** Only verifications wait so. */
const READY_POLL_MS = 50;

export interface MethodsOptions {
  readonly partitionCount: number;
  readonly reader: Omit<PartitionReader, 'hold' | 'fence' | 'replay' | 'close' | symbol>;
  readonly engine: Pick<
    ShardEngine,
    'workers' | 'recallBytes' | 'get' | 'stats' | 'indexed' | 'refresh'
  > & {
    readonly streams: Pick<ShardEngine['streams'], 'open' | 'openIds' | 'next' | 'keep' | 'close'>;
  };
  readonly flow: PerLane<Pick<LaneFlow, 'applied'>>;
  readonly storage: Pick<StorageHealth, 'fault'>;
  readonly sampler: Pick<RecallSampler, 'offer'>;
  readonly metrics: ShardMetrics;
  readonly tracing: Tracing;
  readonly clock: Clock;
}

export function rpcMethods(options: MethodsOptions): Readonly<Record<ShardMethod, RpcMethod>> {
  const { reader, engine, metrics, tracing } = options;

  /** @throws ClusterError NOT_OWNER; PARTITION_UNAVAILABLE for one that could not be brought in */
  const placeOf = (config: SpaceConfig): PartitionId => {
    const partition = partitionOf(config.space, options.partitionCount);
    const holding = reader.holding(partition);
    if (holding === undefined)
      throw new ClusterError('NOT_OWNER', 'this shard does not hold the partition', {
        details: { partition },
      });
    const { failure } = holding;
    if (failure === undefined) return partition;
    // An answer without what is stored would look like a space where nothing is similar.
    throw new ClusterError('PARTITION_UNAVAILABLE', `not served: ${failure.message}`, {
      cause: failure,
      ...(failure.hint !== undefined && { hint: failure.hint }),
      details: { ...failure.details, partition },
    });
  };

  /** @throws ClusterError INVALID_POSITION, POSITION_NOT_REACHED */
  const reached = async (
    partition: PartitionId,
    token: string,
    field: 'minPosition' | 'asOf',
    waitMs: number,
  ): Promise<Position> => {
    const position = parsePosition(token, `/${field}`);
    if (position.partition !== partition)
      throw new ClusterError('INVALID_POSITION', 'the position belongs to another partition', {
        pointer: `/${field}`,
      });
    if (await reader.waitFor(position, waitMs)) return position;
    throw new ClusterError('POSITION_NOT_REACHED', 'the position is not applied yet', {
      hint: `wait longer by waitMs, or leave ${field} away`,
      details: { watermark: formatPosition(reader.applied(partition)) },
    });
  };

  /** @throws ClusterError PARTITION_UNAVAILABLE for one that lacks something of what is stored of it */
  const whole = async (partition: PartitionId, deadline: Deadline): Promise<void> => {
    while (!reader.isReady(partition)) {
      if (deadline.isOver)
        throw new ClusterError('PARTITION_UNAVAILABLE', 'the partition is still being brought in', {
          details: { partition },
        });
      await options.clock.sleep(READY_POLL_MS);
    }
  };

  /**
   * What the engine answers, and how far the partition was applied before it was asked: that may only
   * promise less than the answer holds. A partition that is let go, or brought in anew, may have left the
   * engine before its turn came, and then it promises nothing.
   * @throws ClusterError NOT_OWNER where the partition is gone, or was to be read at a position
   */
  const standing = async <T extends object>(
    partition: PartitionId,
    hasPosition: boolean,
    read: () => Promise<T>,
  ) => {
    const holding = reader.holding(partition);
    const before: Standing = {
      watermark: formatPosition(reader.applied(partition)),
      isReady: reader.isReady(partition),
      lag: reader.lag(partition),
    };
    const answer = await read();
    const after = reader.holding(partition);
    if (after !== undefined && after === holding) return { ...answer, ...before };
    if (after === undefined || hasPosition)
      throw new ClusterError('NOT_OWNER', 'this shard let the partition go meanwhile', {
        details: { partition },
      });
    return { ...answer, ...before, watermark: formatPosition(nothing(partition)), isReady: false };
  };

  const exactTurns = new ExactTurns(engine.workers, options.clock);
  const inTurn = <T>({ exact }: RecallTask, work: () => Promise<T>): Promise<T> =>
    exact === true ? exactTurns.run(work) : work();

  const answered = async (
    task: RecallTask,
    traceparent: string | undefined,
  ): Promise<readonly WireHit[]> => {
    const hits = await inTurn(task, () =>
      traced(tracing.continue('worker', traceparent, { kind: 'internal' }), () =>
        engine.recallBytes(task),
      ),
    );
    options.sampler.offer(task, hits);
    return hits;
  };

  const cursors = new CursorTokens();

  const methods: Readonly<Record<ShardMethod, RpcMethod>> = {
    recall: async (body, traceparent): Promise<RecallReply> => {
      const { minPosition, asOf, waitMs, stream, ...query } = body as RecallRequest;
      const partition = placeOf(query.config);
      if (minPosition !== undefined) await reached(partition, minPosition, 'minPosition', waitMs);
      const snapshot =
        asOf === undefined ? undefined : await reached(partition, asOf, 'asOf', waitMs);
      const task = { ...query, ...(snapshot === undefined ? {} : { asOf: snapshot.sequences }) };
      const hasPosition = minPosition !== undefined || asOf !== undefined;
      return standing(partition, hasPosition, async () =>
        stream === true
          ? cursors.told(await inTurn(task, () => engine.streams.open(task)))
          : { hits: await answered(task, traceparent) },
      );
    },
    next: async (body): Promise<NextReply> => {
      const { config, cursor } = body as NextRequest;
      return cursors.told(await engine.streams.next(config.space, cursors.numberOf(cursor)));
    },
    keep: (body): Promise<void> => {
      const { config, cursor } = body as CursorRequest;
      engine.streams.keep(config.space, cursors.numberOf(cursor));
      return Promise.resolve();
    },
    close: (body): Promise<void> => {
      const { config, cursor } = body as CursorRequest;
      engine.streams.close(config.space, cursors.numberOf(cursor));
      return Promise.resolve();
    },
    get: async (body): Promise<GetReply> => {
      const { config, id, minPosition, waitMs, needsReady } = body as GetRequest;
      const deadline = new Deadline(options.clock, waitMs);
      const partition = placeOf(config);
      if (minPosition !== undefined) await reached(partition, minPosition, 'minPosition', waitMs);
      if (needsReady === true) await whole(partition, deadline);
      return standing(partition, minPosition !== undefined, async () => {
        const found = await engine.get(config, id);
        return found === undefined ? {} : { found };
      });
    },
    ids: async (body): Promise<IdsReply> => {
      const { config, minPosition, waitMs, asOf } = body as IdsRequest;
      const deadline = new Deadline(options.clock, waitMs);
      const partition = placeOf(config);
      await reached(partition, minPosition, 'minPosition', waitMs);
      await whole(partition, deadline);
      return standing(partition, true, async () =>
        cursors.told(await engine.streams.openIds(config, asOf)),
      );
    },
    stats: async (body): Promise<StatsReply> => {
      const { config } = body as StatsRequest;
      const partition = placeOf(config);
      return standing(partition, false, () => engine.stats(config));
    },
    await: async (body): Promise<AwaitReply> => {
      const { config, position, level, timeoutMs } = body as AwaitRequest;
      placeOf(config);
      const deadline = new Deadline(options.clock, timeoutMs);
      const isApplied = await reader.waitFor(parsePosition(position, '/position'), timeoutMs);
      if (!isApplied || level === 'searchable') return { isReached: isApplied };
      const isReached = await Promise.race([
        engine.indexed(config).then(() => true),
        options.clock.sleep(deadline.remainingMs).then(() => false),
      ]);
      return { isReached };
    },
    status: async (): Promise<StatusReply> => {
      const { loaded, unloaded, observations, privateBytes, rssBytes, memory } =
        await engine.refresh();
      const { fault: storageFault } = options.storage;
      return {
        held: reader.held,
        ready: [...reader.ready],
        replaying: reader.replayCount,
        replays: reader.replays.map(({ startedAtMs, ...replay }) => ({
          ...replay,
          elapsedMs: options.clock.now() - startedAtMs,
        })),
        lag: {
          ...Object.fromEntries(LANES.map((lane) => [lane, reader.pending(lane)])),
          replay: reader.replayPending,
        },
        latency: await metrics.latency(),
        applied: perLane((lane) => options.flow[lane].applied),
        timeMs: options.clock.wallNow(),
        spaces: loaded + unloaded,
        observations,
        rssBytes,
        privateBytes,
        memory,
        ...(storageFault && { storageFault }),
      };
    },
  };
  const timed = Object.entries(methods).map(([name, method]) => {
    const timer = metrics.requests.labels(name);
    // They take as long as a space is large, and wait for their turn: among others they would be all that is seen.
    const exactTimer = metrics.requests.labels(`exact-${name}`);
    const run: RpcMethod = async (body, traceparent) => {
      const isExact = name === 'recall' && (body as RecallRequest).exact === true;
      const end = (isExact ? exactTimer : timer).startTimer();
      const span = tracing.continue(name, traceparent, { kind: 'server' });
      try {
        return await traced(span, () => method(body, span?.traceparent));
      } finally {
        end();
      }
    };
    return [name, run] as const;
  });
  return Object.fromEntries(timed) as Record<ShardMethod, RpcMethod>;
}

/** Cursors as gateways hold them: of this process, and of no other that had the same member id. */
class CursorTokens {
  readonly #process = randomUUID();

  told({ hits, cursor }: PageAnswer): NextReply {
    return { hits, ...(cursor === undefined ? {} : { cursor: `${this.#process}.${cursor}` }) };
  }

  /** @throws ClusterError CURSOR_EXPIRED */
  numberOf(token: string): number {
    const [process, number] = token.split('.');
    if (process === this.#process) return Number(number);
    throw new ClusterError('CURSOR_EXPIRED', 'the shard was started anew', { hint: 'ask again' });
  }
}

/** Before the first entry. */
function nothing(partition: PartitionId): Position {
  return { partition, sequences: perLane(() => 0) };
}
