import {
  agreeOnLayout,
  ensureStreams,
  LogConnection,
  LogFeed,
  RpcServer,
  SpaceDirectory,
  streamHead,
} from '@engram/log';
import { Membership, type ClusterView } from '@engram/membership';
import { parseMemberId } from '@engram/model';
import { PartitionReader, partitionsToHold } from '@engram/partition';
import { assign } from '@engram/ring';
import {
  aborted,
  createLogger,
  Deadline,
  loadOrExit,
  runService,
  Scope,
  systemClock,
  type Logger,
} from '@engram/runtime';
import { WorkerPool } from '@engram/worker-pool';
import { Applier } from './apply.ts';
import { loadConfig, type ShardConfig } from './config.ts';
import { observeShard, shardMetrics } from './metrics.ts';
import { HealthServer } from './serve/http.ts';
import { rpcMethods } from './serve/rpc-methods.ts';

const READY_TIMEOUT_MS = 10_000;
const RECONCILE_MS = 100;

async function run(
  config: ShardConfig,
  logger: Logger,
  stop: AbortSignal,
  ready: (url: string) => void,
): Promise<void> {
  const clock = systemClock;
  const self = parseMemberId(config.ENGRAM_MEMBER_ID);
  const layout = { partitionCount: config.ENGRAM_PARTITIONS, stripeCount: config.ENGRAM_STRIPES };
  const replicas = config.ENGRAM_LOG_REPLICAS;
  const connectTimeoutMs = config.ENGRAM_CONNECT_TIMEOUT_MS;
  const metrics = shardMetrics(self);
  const crash = new AbortController();
  await using scope = new Scope();

  const connection = await scope.own(
    'nats',
    LogConnection.start({
      url: config.ENGRAM_NATS_URL,
      name: self,
      connectTimeoutMs,
      clock,
      logger,
    }),
  );
  await agreeOnLayout(connection, layout, replicas);
  await ensureStreams(connection, layout, { bytesMax: config.ENGRAM_LOG_BYTES_MAX, replicas });
  const directory = await scope.own(
    'spaces',
    SpaceDirectory.start(connection, { stripeCount: layout.stripeCount, replicas, clock, logger }),
  );
  const pool = await scope.own(
    'workers',
    WorkerPool.start({
      entry: new URL('./worker/main.js', import.meta.url),
      count: config.ENGRAM_WORKERS,
      readyTimeoutMs: READY_TIMEOUT_MS,
      // Its indices are gone with it; the log has everything, so a new process begins clean.
      onCrash: (error) => crash.abort(error),
    }),
  );
  let isStarted = false;
  const health = await scope.own(
    'health',
    HealthServer.start({
      host: config.ENGRAM_HTTP_HOST,
      port: config.ENGRAM_HTTP_PORT,
      metrics: metrics.registry,
      fault: () =>
        stop.aborted
          ? 'draining'
          : !isStarted
            ? 'starting'
            : connection.isConnected
              ? undefined
              : 'NATS is away',
    }),
  );
  const membership = await scope.own(
    'membership',
    Membership.start(
      {
        redisUrl: config.ENGRAM_REDIS_URL,
        cluster: config.ENGRAM_CLUSTER,
        self: { id: self, role: 'shard' },
        heartbeatMs: config.ENGRAM_HEARTBEAT_MS,
        leaseTtlMs: config.ENGRAM_LEASE_TTL_MS,
        connectTimeoutMs,
        onReplaced: (error) => crash.abort(error),
        clock,
        logger,
      },
      health.url,
    ),
  );
  const applier = new Applier({
    connection,
    directory,
    pool,
    partitionCount: layout.partitionCount,
    isReady: (partition): boolean => reader.isReady(partition),
    metrics,
    clock,
    logger,
    stop,
  });
  const reader: PartitionReader = await scope.own(
    'partitions',
    new PartitionReader({
      stripeCount: layout.stripeCount,
      openFeed: (request) => LogFeed.start(connection, { ...request, clock, logger }),
      head: (stripe) => streamHead(connection, stripe),
      apply: (message, isCurrent) =>
        applier.apply(message, isCurrent).catch((error: unknown) => {
          // Nothing may be called applied that is not: the process ends, and the log has the entry.
          crash.abort(error);
          return new Promise<never>(() => undefined);
        }),
      onRelease: (partitions) => {
        for (const thread of pool.threads) thread.post({ verb: 'drop-partitions', partitions });
      },
      onReady: (partitions) => membership.setReady(partitions),
      onComplete: (upTo) => {
        for (const thread of pool.threads) thread.post({ verb: 'prune', upTo });
      },
      roomPerLane: {
        messages: config.ENGRAM_LANE_MESSAGES_MAX,
        bytes: config.ENGRAM_LANE_BYTES_MAX,
      },
      intervalMs: RECONCILE_MS,
      clock,
      logger,
    }),
  );
  const unlisten = directory.onChange((change) => {
    if (change.kind === 'delete')
      pool.threadFor(change.space).post({ verb: 'drop-space', space: change.space });
  });
  scope.onClose('space changes', () => void unlisten());
  await scope.own(
    'rpc',
    new RpcServer(
      connection,
      self,
      rpcMethods({ partitionCount: layout.partitionCount, reader, pool, metrics, clock }),
      logger,
    ),
  );
  observeShard(metrics, reader, membership, pool);
  const follow = (view: ClusterView) =>
    reader.hold(
      partitionsToHold(self, assign(view.shards, layout.partitionCount), view, reader.held),
    );
  const unfollow = membership.onView(follow);
  scope.onClose('view', () => void unfollow());

  const unexpelled = membership.onExpelled(() => {
    reader.fence();
    follow(membership.view);
  });
  scope.onClose('expulsion', () => void unexpelled());

  isStarted = true;
  ready(health.url);
  await Promise.race([aborted(stop), aborted(crash.signal)]);
  if (crash.signal.aborted) throw crash.signal.reason;

  // Others take the partitions over while this shard still answers for them.
  membership.setLeaving();
  const deadline = new Deadline(clock, config.ENGRAM_DRAIN_TIMEOUT_MS * 0.75);
  while (reader.held.length > 0 && membership.view.shards.some((id) => id !== self)) {
    if (deadline.isOver) {
      logger.warn({ partitions: reader.held.length }, 'left before every partition was taken over');
      break;
    }
    await clock.sleep(RECONCILE_MS);
  }
}

const config = loadOrExit('shard', loadConfig);
const logger = createLogger('shard', config.ENGRAM_MEMBER_ID, config.ENGRAM_LOG_LEVEL);
await runService({
  logger,
  drainTimeoutMs: config.ENGRAM_DRAIN_TIMEOUT_MS,
  run: (stop, ready) => run(config, logger, stop, ready),
});
