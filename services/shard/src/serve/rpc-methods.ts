// The questions of gateways, answered by the worker that has the space.

import type {
  AwaitReply,
  AwaitRequest,
  GetReply,
  GetRequest,
  RecallReply,
  RecallRequest,
  ShardMethod,
  StatsReply,
  StatsRequest,
  StatusReply,
} from '@engram/codec';
import type { RpcMethod } from '@engram/log';
import {
  ClusterError,
  formatPosition,
  LANES,
  parsePosition,
  partitionOf,
  type PartitionId,
  type SpaceConfig,
} from '@engram/model';
import type { PartitionReader } from '@engram/partition';
import { Deadline, type Clock } from '@engram/runtime';
import type { WorkerPool } from '@engram/worker-pool';
import type { ShardMetrics } from '../metrics.ts';
import type {
  GetAnswer,
  RecallAnswer,
  StatsAnswer,
  TotalsAnswer,
  WorkerRequest,
} from '../worker/protocol.ts';

export interface MethodsOptions {
  readonly partitionCount: number;
  readonly reader: PartitionReader;
  readonly pool: WorkerPool;
  readonly metrics: ShardMetrics;
  readonly clock: Clock;
}

export function rpcMethods(options: MethodsOptions): Readonly<Record<ShardMethod, RpcMethod>> {
  const { reader, pool, metrics } = options;
  const ask = (config: SpaceConfig, request: WorkerRequest) =>
    pool.threadFor(config.space).request(request);

  /** @throws ClusterError NOT_OWNER */
  const placeOf = (config: SpaceConfig): PartitionId => {
    const partition = partitionOf(config.space, options.partitionCount);
    if (reader.isHeld(partition)) return partition;
    throw new ClusterError('NOT_OWNER', 'this shard does not hold the partition', {
      details: { partition },
    });
  };

  /** @throws ClusterError POSITION_NOT_REACHED */
  const waitFor = async (partition: PartitionId, token: string | undefined, waitMs: number) => {
    if (token === undefined) return;
    const position = parsePosition(token, '/minPosition');
    if (position.partition !== partition)
      throw new ClusterError('INVALID_POSITION', 'the position belongs to another partition', {
        pointer: '/minPosition',
      });
    if (await reader.waitFor(position, waitMs)) return;
    throw new ClusterError('POSITION_NOT_REACHED', 'the position is not applied yet', {
      hint: 'wait longer by waitMs, or leave minPosition away',
      details: { watermark: formatPosition(reader.applied(partition)) },
    });
  };

  const standing = (partition: PartitionId) => ({
    watermark: formatPosition(reader.applied(partition)),
    isReady: reader.isReady(partition),
  });

  const methods: Readonly<Record<ShardMethod, RpcMethod>> = {
    recall: async (body): Promise<RecallReply> => {
      const { minPosition, waitMs, ...query } = body as RecallRequest;
      const partition = placeOf(query.config);
      await waitFor(partition, minPosition, waitMs);
      // Read before the index is: it may only promise less than the answer holds.
      const state = standing(partition);
      const hits = (await ask(query.config, { verb: 'recall', ...query })) as RecallAnswer;
      return { hits, ...state };
    },
    get: async (body): Promise<GetReply> => {
      const { config, id, minPosition, waitMs } = body as GetRequest;
      const partition = placeOf(config);
      await waitFor(partition, minPosition, waitMs);
      const state = standing(partition);
      const found = (await ask(config, { verb: 'get', config, id })) as GetAnswer;
      return { ...(found === undefined ? {} : { found }), ...state };
    },
    stats: async (body): Promise<StatsReply> => {
      const { config } = body as StatsRequest;
      const partition = placeOf(config);
      const stats = (await ask(config, { verb: 'stats', config })) as StatsAnswer;
      return { ...stats, ...standing(partition) };
    },
    await: async (body): Promise<AwaitReply> => {
      const { config, position, level, timeoutMs } = body as AwaitRequest;
      placeOf(config);
      const deadline = new Deadline(options.clock, timeoutMs);
      const isApplied = await reader.waitFor(parsePosition(position, '/position'), timeoutMs);
      if (!isApplied || level === 'searchable') return { isReached: isApplied };
      const isReached = await Promise.race([
        ask(config, { verb: 'indexed', config }).then(() => true),
        options.clock.sleep(deadline.remainingMs).then(() => false),
      ]);
      return { isReached };
    },
    status: async (): Promise<StatusReply> => {
      const totals = await Promise.all(
        pool.threads.map((thread) => thread.request({ verb: 'totals' }) as Promise<TotalsAnswer>),
      );
      return {
        held: reader.held,
        ready: [...reader.ready],
        replaying: reader.replayCount,
        lag: Object.fromEntries(LANES.map((lane) => [lane, reader.pending(lane)])),
        spaces: totals.reduce((sum, { spaces }) => sum + spaces, 0),
        observations: totals.reduce((sum, { observations }) => sum + observations, 0),
        rssBytes: process.memoryUsage.rss(),
      };
    },
  };
  const timed = Object.entries(methods).map(([name, method]) => {
    const timer = metrics.requests.labels(name);
    const run: RpcMethod = async (body) => {
      const end = timer.startTimer();
      try {
        return await method(body);
      } finally {
        end();
      }
    };
    return [name, run] as const;
  });
  return Object.fromEntries(timed) as Record<ShardMethod, RpcMethod>;
}
