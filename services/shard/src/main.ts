import { join } from 'node:path';
import {
  agreeOnLayout,
  isOfLog,
  LogConnection,
  LogFeed,
  PartitionRegister,
  publishSignal,
  RewindWatch,
  RpcServer,
  SpaceDirectory,
  streamHead,
  streamName,
  streamState,
  stripeOf,
  trimPartition,
} from '@engram/log';
import { Membership, type ClusterView } from '@engram/membership';
import { parseMemberId, perLane, type PartitionId, type MemberId } from '@engram/model';
import { candidates, PartitionReader, partitionsToHold } from '@engram/partition';
import { Placement } from '@engram/ring';
import { Deadline, Scope, systemClock, type Logger } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { aborted, loadOrExit, natsServer, redisServer, runService } from '@engram/runtime/service';
import { cacheFolderOf, ShardEngine, SNAPSHOT_KEEP_MS } from '@engram/engine';
import { startTracing } from '@engram/tracing';
import { Applier } from './apply.ts';
import { Checkpointer } from './checkpoints/checkpointer.ts';
import { StorageHealth } from './checkpoints/storage-health.ts';
import { PartitionRecords } from './checkpoints/partition-records.ts';
import { Restorer } from './checkpoints/restorer.ts';
import { Transfers } from './checkpoints/transfers.ts';
import { loadConfig, type ShardConfig } from './config.ts';
import { EntryCounts } from './entry-counts.ts';
import { roomOf } from './lane-room.ts';
import { memoryLimits, requireRoom, tellMemory } from './memory-limits.ts';
import { observeShard, shardMetrics } from './metrics.ts';
import { lagMaxMs, laneRoom } from './lanes.ts';
import { LaneFlow } from './pressure/lane-flow.ts';
import { PressureMonitor } from './pressure/pressure-monitor.ts';
import { HealthServer } from './serve/http.ts';
import { unreadyReason } from './serve/readiness.ts';
import { RecallSampler } from './serve/recall-sampler.ts';
import { rpcMethods } from './serve/rpc-methods.ts';

const RECONCILE_MS = 50;

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

  const tracing = await scope.own(
    'tracing',
    startTracing({
      url: config.ENGRAM_OTLP_URL,
      ratio: config.ENGRAM_TRACE_RATIO,
      service: 'engram-shard',
      member: self,
    }),
  );
  const stripeIn = (partition: PartitionId) => stripeOf(partition, layout.stripeCount);
  const cacheFolder = cacheFolderOf(config.ENGRAM_DATA_DIR);
  const connection = await scope.own(
    'nats',
    LogConnection.start({
      ...natsServer(config),
      name: self,
      connectTimeoutMs,
      signal: stop,
      clock,
      logger,
    }),
  );
  const cluster = await agreeOnLayout(
    connection,
    layout,
    { bytesMax: config.ENGRAM_LOG_BYTES_MAX, replicas },
    { withinMs: connectTimeoutMs, signal: stop, clock },
  );
  const transfers = await scope.own(
    'transfers',
    new Transfers(
      {
        member: self,
        cacheFolder,
        blobs: { store: config.ENGRAM_BLOB_STORE, cluster, replicas },
        nats: natsServer(config),
        connectTimeoutMs,
        logLevel: config.ENGRAM_LOG_LEVEL,
      },
      logger,
    ),
  );
  const directory = await scope.own(
    'spaces',
    SpaceDirectory.start(connection, { stripeCount: layout.stripeCount, replicas, clock, logger }),
  );
  const room = laneRoom(config);
  const limits = memoryLimits(config);
  const storage = new StorageHealth(clock);
  const engine = await scope.own(
    'engine',
    ShardEngine.start({
      dataDir: config.ENGRAM_DATA_DIR,
      workers: config.ENGRAM_WORKERS,
      lanes: room,
      minBatch: config.ENGRAM_MIN_BATCH,
      maxBatch: config.ENGRAM_MAX_BATCH,
      stealThreshold: config.ENGRAM_STEAL_THRESHOLD,
      idleSleepMs: config.ENGRAM_IDLE_SLEEP_MS,
      memory: limits,
      graphThreshold: config.ENGRAM_GRAPH_THRESHOLD,
      segmentBytesMax: config.ENGRAM_SEGMENT_BYTES_MAX,
      idleUnloadMs: config.ENGRAM_IDLE_UNLOAD_MS,
      snapshotKeepMs: SNAPSHOT_KEEP_MS,
      clock,
      events: {
        onCrash: ({ worker, error, restarts }) => {
          metrics.workerCrashes.inc();
          logger.error({ worker, restarts, err: error }, 'a worker thread ended');
        },
        // The log has everything: what a thread or a damaged file took with it is read again.
        onLost: (partitions, spaces) => {
          logger.warn({ partitions: partitions.length, spaces: spaces.length }, 'replaying');
          reader.replay(partitions);
        },
        onMemory: tellMemory(logger, limits),
        onFailed: (error) => crash.abort(error),
        onFault: (fault) => {
          metrics.fileFaults.inc();
          storage.fileFault(fault);
          logger.error({ fault }, 'a segment file');
        },
      },
    }),
  );
  requireRoom(limits, engine.totals.privateBytes);
  let fault = (): string | undefined => 'starting';
  let isExpelled = false;
  const health = await scope.own(
    'health',
    HealthServer.start({
      host: config.ENGRAM_HTTP_HOST,
      port: config.ENGRAM_HTTP_PORT,
      metrics: metrics.registry,
      fault: () => (stop.aborted ? 'draining' : fault()),
    }),
  );
  const membership = await scope.own(
    'membership',
    Membership.start(
      {
        redis: redisServer(config),
        cluster: config.ENGRAM_CLUSTER,
        self: { id: self, role: 'shard', replication: config.ENGRAM_REPLICATION },
        heartbeatMs: config.ENGRAM_HEARTBEAT_MS,
        leaseTtlMs: config.ENGRAM_LEASE_TTL_MS,
        connectTimeoutMs,
        signal: stop,
        onReplaced: (error) => crash.abort(error),
        clock,
        logger,
      },
      health.url,
    ),
  );
  const counts = new EntryCounts();
  const flow = perLane(() => new LaneFlow(clock));
  // Not `stop`: while the shard drains it still answers for what it applies, and stores it.
  const unserved = new AbortController();
  scope.onClose('applying', () => unserved.abort());
  const applier = new Applier({
    connection,
    directory,
    engine,
    counts,
    flow,
    partitionCount: layout.partitionCount,
    isReady: (partition): boolean => reader.isReady(partition),
    metrics,
    tracing,
    clock,
    logger,
    stop: unserved.signal,
  });
  const register = await PartitionRegister.start(connection, replicas);
  const records = new PartitionRecords({ self, register, transfers, clock, logger });
  const restorer = new Restorer({
    register: records,
    transfers,
    engine,
    directory,
    pathOf: (name) => join(cacheFolder, name),
    isOfLog: (partition, stored) =>
      isOfLog(connection, streamName(stripeIn(partition)), partition, stored),
    metrics,
    logger,
  });
  const checkpointer = await scope.own(
    'checkpoints',
    new Checkpointer({
      self,
      register: records,
      transfers,
      restorer,
      engine,
      isWriter: (partition) => writerOf(partition, membership.view) === self,
      isSettled: (partition) => {
        const { view } = membership;
        const isReady = (id: MemberId) => view.members.get(id)?.ready.has(partition) === true;
        return placement.of(view).owners(partition).every(isReady);
      },
      logState: (partition) => streamState(connection, stripeIn(partition)),
      isLogSure: () => rewinds.isSure,
      held: () => reader.held,
      onOvertaken: (partition) => reader.replay([partition]),
      trim: async (partition, upTo) => {
        await register.removing(partition, upTo);
        await trimPartition(connection, layout.stripeCount, partition, upTo);
      },
      intervalMs: config.ENGRAM_CHECKPOINT_MS,
      intervalBytes: config.ENGRAM_CHECKPOINT_BYTES,
      keepMs: config.ENGRAM_LOG_KEEP_MS,
      storage,
      metrics,
      clock,
      logger,
    }),
  );
  const rewinds: RewindWatch = await scope.own(
    'rewinds',
    new RewindWatch(connection, {
      onRewound: () => {
        metrics.rewinds.inc();
        reader.fence();
      },
      clock,
      logger,
    }),
  );
  const reader: PartitionReader = await scope.own(
    'partitions',
    new PartitionReader({
      stripeCount: layout.stripeCount,
      openFeed: (request) => LogFeed.start(connection, { ...request, clock, logger }),
      restore: async (partition) => {
        const wholeTo = checkpointer.wholeTo(partition);
        checkpointer.release([partition]); // W6, where it was not let go before
        const upTo = await restorer.restore(partition, wholeTo);
        checkpointer.restored(partition, upTo);
        return upTo;
      },
      confirm: (partition, upTo) => checkpointer.confirm(partition, upTo),
      head: (stripe) => streamHead(connection, stripe),
      apply: async (message, isCurrent) => {
        try {
          await applier.apply(message, isCurrent);
        } catch (error) {
          // Nothing may be called applied that is not: the process ends, and the log has the entry.
          crash.abort(error);
          await new Promise<never>(() => undefined);
        }
        checkpointer.applied(message.partition, message.sequence, message.bytes.length);
      },
      onRelease: (partitions) => {
        checkpointer.release(partitions);
        engine.dropPartitions(partitions);
      },
      onReady: (partitions) => {
        if (partitions.size > 0) isExpelled = false;
        membership.setReady(partitions);
      },
      onComplete: (upTo) => {
        engine.complete(upTo);
        checkpointer.complete(upTo);
      },
      roomPerLane: perLane((lane) => ({
        messages: room[lane].observations,
        bytes: room[lane].bytes,
      })),
      room: (lane) => roomOf(engine, counts, lane),
      intervalMs: RECONCILE_MS,
      clock,
      logger,
    }),
  );
  scope.onClose(
    'reconnects',
    connection.onReconnect(() => checkpointer.trimAgain()),
  );
  const unlisten = directory.onChange((change) => {
    if (change.kind === 'delete') engine.dropSpace(change.space);
  });
  scope.onClose('space changes', () => void unlisten());
  const sampler = new RecallSampler({
    everyMs: config.ENGRAM_RECALL_SAMPLE_MS,
    engine,
    isCalm: () => pressure.isCalm,
    ...metrics.sampled,
    clock,
    logger,
  });
  await scope.own(
    'rpc',
    new RpcServer(
      connection,
      self,
      rpcMethods({ ...layout, reader, engine, flow, storage, sampler, metrics, tracing, clock }),
      logger,
    ),
  );
  const pressure = await scope.own(
    'pressure',
    new PressureMonitor({
      member: self,
      lagMaxMs: lagMaxMs(config),
      graceMs: config.ENGRAM_PRESSURE_GRACE_MS,
      flow,
      room,
      pending: (lane) => reader.pending(lane),
      memory: () => ({ state: engine.memory, bytes: engine.totals.privateBytes, ...limits }),
      say: (text) => publishSignal(connection, self, text),
      store: (text, levels) => membership.signals.publish(self, text, levels),
      clock,
      logger,
    }),
  );
  observeShard(metrics, { reader, membership, engine, checkpointer, pressure, limits });
  const placement = new Placement(layout.partitionCount);
  const writerOf = (partition: PartitionId, view: ClusterView) =>
    candidates(partition, placement.of(view), view).ready[0];
  const follow = (view: ClusterView) =>
    reader.hold(partitionsToHold(self, placement.of(view), view, reader.held));
  const unfollow = membership.onView(follow);
  scope.onClose('view', () => void unfollow());

  const unexpelled = membership.onExpelled(() => {
    isExpelled = true;
    reader.fence();
    follow(membership.view);
  });
  scope.onClose('expulsion', () => void unexpelled());

  fault = () =>
    unreadyReason({
      isLogConnected: connection.isConnected,
      leaseAgeMs: membership.ageMs,
      leaseTtlMs: config.ENGRAM_LEASE_TTL_MS,
      isExpelled,
      owned: placement.of(membership.view).partitionsOf(self).length,
      held: reader.held.length,
      ready: reader.ready.size,
    });
  ready(health.url);
  await Promise.race([aborted(stop), aborted(crash.signal)]);
  if (crash.signal.aborted) throw crash.signal.reason;

  // Whoever starts on these partitions next reads little of the log.
  await checkpointer.flush(config.ENGRAM_DRAIN_TIMEOUT_MS * FLUSH_SHARE);
  // Others take the partitions over while this shard still answers for them.
  membership.setLeaving();
  const deadline = new Deadline(clock, config.ENGRAM_DRAIN_TIMEOUT_MS * HAND_OVER_SHARE);
  while (reader.held.length > 0 && membership.view.shards.some((id) => id !== self)) {
    if (deadline.isOver) {
      logger.warn({ partitions: reader.held.length }, 'left before every partition was taken over');
      break;
    }
    await clock.sleep(RECONCILE_MS);
  }
}

/** Shares of the time for draining. */
const FLUSH_SHARE = 0.3;
const HAND_OVER_SHARE = 0.5;

const config = loadOrExit('shard', loadConfig);
const logger = createLogger('shard', config.ENGRAM_MEMBER_ID, config.ENGRAM_LOG_LEVEL);
await runService({
  logger,
  drainTimeoutMs: config.ENGRAM_DRAIN_TIMEOUT_MS,
  run: (stop, ready) => run(config, logger, stop, ready),
});
