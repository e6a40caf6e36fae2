import type { Refusal } from '@engram/admission';
import {
  agreeOnLayout,
  DeadLetters,
  IdempotencyStore,
  LogConnection,
  LogPublisher,
  onSignals,
  openBlobs,
  PartitionRegister,
  SpaceDirectory,
} from '@engram/log';
import { gatewaysOf, Membership } from '@engram/membership';
import { parseMemberId } from '@engram/model';
import { advertisedUrl, Scope, systemClock, type Logger } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import {
  aborted,
  loadLimits,
  loadOrExit,
  natsServer,
  redisServer,
  runService,
} from '@engram/runtime/service';
import { startTracing } from '@engram/tracing';
import { Admission } from './admission/admission.ts';
import { configuredLimits } from './admission/configured-limits.ts';
import { Limits } from './admission/limits.ts';
import { LoopDelay } from './admission/loop-delay.ts';
import { OwnLoad } from './admission/own-load.ts';
import { WriteSlots } from './admission/write-slots.ts';
import { RecentRefusals } from './admission/recent-refusals.ts';
import { SignalBoard } from './admission/signal-board.ts';
import { Authenticator } from './auth/authenticator.ts';
import { Router } from './cluster/router.ts';
import { loadConfig, type GatewayConfig } from './config.ts';
import { schemeOf } from './http/listener.ts';
import { HttpServer } from './http/server.ts';
import { Ingest } from './ingest/ingest.ts';
import { gatewayMetrics, observeGateway } from './metrics.ts';
import { Recall } from './recall/recall.ts';
import { Tailer } from './tail/tailer.ts';
import { Verifier } from './verify/verifier.ts';
import { Backlog } from './ws/backlog.ts';
import { lagOf } from './ws/lag.ts';
import { Sessions } from './ws/sessions.ts';

async function run(
  config: GatewayConfig,
  logger: Logger,
  stop: AbortSignal,
  ready: (url: string) => void,
): Promise<void> {
  const clock = systemClock;
  const self = parseMemberId(config.ENGRAM_MEMBER_ID);
  const layout = { partitionCount: config.ENGRAM_PARTITIONS, stripeCount: config.ENGRAM_STRIPES };
  const { stripeCount, partitionCount } = layout;
  const replicas = config.ENGRAM_LOG_REPLICAS;
  const connectTimeoutMs = config.ENGRAM_CONNECT_TIMEOUT_MS;
  const metrics = gatewayMetrics(self, config.ENGRAM_METRICS_SPACES_MAX);
  const crash = new AbortController();
  await using scope = new Scope();

  const tracing = await scope.own(
    'tracing',
    startTracing({
      url: config.ENGRAM_OTLP_URL,
      ratio: config.ENGRAM_TRACE_RATIO,
      service: 'engram-gateway',
      member: self,
    }),
  );
  const authenticator = await scope.own('access', Authenticator.start({ config, clock, logger }));
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
  const directory = await scope.own(
    'spaces',
    SpaceDirectory.start(connection, { stripeCount, replicas, clock, logger }),
  );
  const idempotency = await IdempotencyStore.start(connection, replicas);
  const publisher = new LogPublisher(connection, {
    stripeCount,
    inFlightMax: config.ENGRAM_PUBLISHES_MAX,
    timeoutMs: config.ENGRAM_PUBLISH_TIMEOUT_MS,
    clock,
  });
  const membership = await scope.own(
    'membership',
    Membership.start(
      {
        redis: redisServer(config),
        cluster: config.ENGRAM_CLUSTER,
        self: { id: self, role: 'gateway', replication: config.ENGRAM_REPLICATION },
        heartbeatMs: config.ENGRAM_HEARTBEAT_MS,
        leaseTtlMs: config.ENGRAM_LEASE_TTL_MS,
        connectTimeoutMs,
        signal: stop,
        onReplaced: (error) => crash.abort(error),
        clock,
        logger,
      },
      advertisedUrl(config.ENGRAM_HTTP_HOST, config.ENGRAM_HTTP_PORT, schemeOf(config)),
    ),
  );
  const router = new Router({
    connection,
    membership,
    partitionCount,
    hedgeMs: config.ENGRAM_RECALL_HEDGE_MS,
    onHedge: (result) => metrics.hedges.inc({ result }),
    tracing,
    clock,
  });
  const timeoutMs = config.ENGRAM_RECALL_TIMEOUT_MS;
  const recall = new Recall({ router, timeoutMs, clock });
  const deadLetters = new DeadLetters(connection, {
    ...layout,
    findSpace: (space) => directory.find(space),
  });
  const register = await PartitionRegister.start(connection, replicas);
  const verifier = new Verifier({
    connection,
    router,
    deadLetters,
    register,
    openBlobs: () =>
      openBlobs({ store: config.ENGRAM_BLOB_STORE, cluster, replicas }, () => connection),
    ...layout,
    timeoutMs,
    clock,
    logger,
  });
  const tailer = new Tailer({
    connection,
    register,
    directory,
    ...layout,
    clock,
    logger,
  });
  const board = await scope.own(
    'signals',
    SignalBoard.start({
      ttlMs: config.ENGRAM_LEASE_TTL_MS,
      shards: () => membership.view.shards,
      store: membership.signals,
      clock,
      logger,
    }),
  );
  scope.onClose('listening', onSignals(connection, board.take));
  // NATS brings the same, should Redis have gone just now.
  await membership.signals
    .listen(board.take)
    .catch((error: unknown) => logger.warn({ err: error }, 'no signals over Redis'));
  const load = new OwnLoad({
    bytesMax: config.ENGRAM_INGEST_BYTES_MAX,
    publishes: () => publisher.inFlight,
    publishesMax: config.ENGRAM_PUBLISHES_MAX,
  });
  const refusals = new RecentRefusals(clock);
  const onRefused = (refusal: Refusal) => {
    const { scope: of, cause, lane = 'none' } = refusal;
    metrics.refusals.inc({ scope: of, cause, lane });
    refusals.note(refusal);
  };
  const admission = new Admission({
    partitionCount,
    candidates: (partition) => router.candidates(partition),
    signalOf: (shard) => board.of(shard),
    isLogConnected: () => connection.isConnected,
    ownFill: () => load.fill(),
    unservedGraceMs: config.ENGRAM_UNSERVED_GRACE_MS,
    onRefused,
    clock,
    random: Math.random,
  });
  const loop = new LoopDelay();
  scope.onClose('loop', () => loop.close());
  const slots = await scope.own(
    'slots',
    new WriteSlots({
      loopDelayMs: (sinceMs) => loop.look(sinceMs),
      loopDelayMaxMs: config.ENGRAM_LOOP_DELAY_MAX_MS,
      onRefused,
      clock,
      random: Math.random,
      logger,
    }),
  );
  const limits = await scope.own(
    'limits',
    new Limits({
      limitOf: configuredLimits(config, namedLimits),
      store: membership.buckets,
      gateways: () => gatewaysOf(membership.view),
      onRefused,
      clock,
      random: Math.random,
      logger,
    }),
  );
  const unfollow = membership.onView(({ shards }) => admission.noteShards(shards.length));
  scope.onClose('view', () => void unfollow());
  const ingest = new Ingest({ publisher, router, admission, limits, metrics, tracing, clock });
  const sessions = new Sessions({
    directory,
    ingest,
    limits,
    slots,
    recall,
    metrics,
    tracing,
    lagOf: (space, lane) => lagOf(router, board, space, lane),
    backlog: new Backlog(config.ENGRAM_INGEST_BYTES_MAX),
    sessionsMax: config.ENGRAM_SESSIONS_MAX,
    idleMs: config.ENGRAM_SESSION_IDLE_MS,
    messageBytesMax: config.ENGRAM_SESSION_MESSAGE_BYTES_MAX,
    clock,
    random: Math.random,
    logger,
  });
  await scope.own('sessions', sessions);
  observeGateway(metrics, {
    publisher,
    membership,
    sessions,
    slots,
    router,
    connection,
    stripeCount,
  });
  const http = await scope.own(
    'http',
    HttpServer.start({
      config,
      authenticator,
      connection,
      directory,
      idempotency,
      membership,
      router,
      board,
      load,
      slots,
      refusals,
      limits,
      ingest,
      recall,
      deadLetters,
      verifier,
      tailer,
      sessions,
      metrics,
      tracing,
      logger,
      stop,
    }),
  );
  ready(http.url);
  await Promise.race([aborted(stop), aborted(crash.signal)]);
  if (crash.signal.aborted) throw crash.signal.reason;
}

const config = loadOrExit('gateway', loadConfig);
const namedLimits = loadOrExit('gateway', () => loadLimits(config.ENGRAM_LIMITS_FILE));
const logger = createLogger('gateway', config.ENGRAM_MEMBER_ID, config.ENGRAM_LOG_LEVEL);
await runService({
  logger,
  drainTimeoutMs: config.ENGRAM_DRAIN_TIMEOUT_MS,
  run: (stop, ready) => run(config, logger, stop, ready),
});
