import {
  LATENCY_SECONDS,
  MetricsRegistry,
  TopSpaces,
  type Counter,
  type Histogram,
} from '@engram/metrics';
import type { PartitionId, SpaceConfig } from '@engram/model';
import { logSize, type LogConnection, type LogPublisher } from '@engram/log';
import type { Membership } from '@engram/membership';
import type { WriteSlots } from './admission/write-slots.ts';
import type { Router } from './cluster/router.ts';
import type { Sessions } from './ws/sessions.ts';

export interface GatewayMetrics {
  readonly registry: MetricsRegistry;
  readonly requests: Histogram;
  readonly items: Counter;
  readonly bytes: Counter;
  readonly acks: Histogram;
  readonly recalls: Counter;
  readonly hedges: Counter;
  readonly refusals: Counter;
  /** Observations and recalls, of the spaces that have most to do. */
  readonly itemsBySpace: TopSpaces;
  readonly recallsBySpace: TopSpaces;
}

/** Between two looks at which spaces are the busiest. */
const WINDOW_MS = 60_000;

/** @param spacesMax spaces that are named in metrics */
export function gatewayMetrics(member: string, spacesMax: number): GatewayMetrics {
  const registry = new MetricsRegistry('gateway', member);
  registry.collectProcess();
  const bySpace = (name: string, help: string) =>
    new TopSpaces(registry, name, help, {
      placesMax: spacesMax,
      windowMs: WINDOW_MS,
      now: () => performance.now(),
    });
  return {
    registry,
    requests: registry.histogram(
      'http_request_duration_seconds',
      'HTTP requests',
      ['route', 'method', 'status'],
      LATENCY_SECONDS,
    ),
    items: registry.counter('ingest_items_total', 'Observations in requests', ['result', 'reason']),
    bytes: registry.counter('ingest_bytes_total', 'Bytes of request bodies with observations'),
    acks: registry.histogram(
      'ingest_ack_duration_seconds',
      'From the request until the level of acknowledgement was reached',
      ['level'],
      LATENCY_SECONDS,
    ),
    recalls: registry.counter('recalls_total', 'Recalls', ['result']),
    hedges: registry.counter(
      'hedges_total',
      'Reads that were sent to a second shard, and those that it answered first',
      ['result'],
    ),
    refusals: registry.counter('admission_refusals_total', 'Writes that were asked to come later', [
      'scope',
      'cause',
      'lane',
    ]),
    itemsBySpace: bySpace(
      'space_items_total',
      'Observations that were accepted, of the busiest spaces and of all others',
    ),
    recallsBySpace: bySpace(
      'space_recalls_total',
      'Recalls, of the busiest spaces and of all others',
    ),
  };
}

export function countRecall(
  { recalls, recallsBySpace }: Pick<GatewayMetrics, 'recalls' | 'recallsBySpace'>,
  configs: readonly SpaceConfig[],
  isDegraded: boolean,
): void {
  recalls.inc({ result: isDegraded ? 'degraded' : 'complete' });
  for (const { space } of configs) recallsBySpace.add(space, 1);
}

interface Observed {
  readonly publisher: LogPublisher;
  readonly membership: Membership;
  readonly sessions: Sessions;
  readonly slots: WriteSlots;
  readonly router: Router;
  readonly connection: LogConnection;
  readonly stripeCount: number;
}

export function observeGateway(
  { registry }: GatewayMetrics,
  { publisher, membership, sessions, slots, router, connection, stripeCount }: Observed,
): void {
  registry.gauge('writes_under_way', 'Writes that are not answered', [], (set) =>
    set(slots.underWay),
  );
  registry.gauge(
    'writes_limit',
    'Writes that may be under way, so that turns stay short',
    [],
    (set) => set(slots.limit),
  );
  registry.gauge('sessions', 'WebSocket sessions by state', ['state'], (set) => {
    const { open, paused } = sessions.counts();
    set(open - paused, { state: 'flowing' });
    set(paused, { state: 'paused' });
  });
  registry.gauge('publishes_in_flight', 'Frames that wait for the log', [], (set) =>
    set(publisher.inFlight),
  );
  registry.gauge('ring_epoch', 'Epoch of the view that this member acts on', [], (set) =>
    set(membership.view.epoch),
  );
  registry.gauge('members', 'Members of the cluster by role', ['kind'], (set) => {
    const members = [...membership.view.members.values()];
    for (const kind of ['gateway', 'shard'])
      set(members.filter((member) => member.role === kind).length, { kind });
  });
  const partitions = () =>
    Array.from({ length: router.partitionCount }, (_, partition) => partition as PartitionId);
  registry.gauge(
    'partition_shards',
    'Shards that answer for a partition: where there is none it is not consumed',
    ['partition'],
    (set) => {
      for (const partition of partitions())
        set(router.candidates(partition).ready.length, { partition: String(partition) });
    },
  );
  registry.gauge('ring_moves', 'Partitions that an owner has still to take over', [], (set) => {
    const moves = partitions().map((partition) => {
      const { ready } = router.candidates(partition);
      return router.assignment.owners(partition).filter((id) => !ready.includes(id)).length;
    });
    set(moves.reduce((sum, each) => sum + each, 0));
  });
  registry.gauge('server_connected', 'Whether NATS and Redis answer', ['server'], (set) => {
    set(connection.isConnected ? 1 : 0, { server: 'nats' });
    set(membership.isCurrent ? 1 : 0, { server: 'redis' });
  });
  registry.gauge('log_bytes', 'Of the log, and how large it may grow', ['kind'], async (set) => {
    const size = await logSize(connection, stripeCount);
    if (size === undefined) return;
    set(size.bytes, { kind: 'used' });
    set(size.bytesMax, { kind: 'limit' });
  });
  registry.gauge('membership_age_seconds', 'Since the registry last answered', [], (set) =>
    set(membership.ageMs / 1000),
  );
}
