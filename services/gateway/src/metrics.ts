import { LATENCY_SECONDS, MetricsRegistry, type Counter, type Histogram } from '@engram/metrics';
import type { LogPublisher } from '@engram/log';
import type { Membership } from '@engram/membership';
import type { WriteSlots } from './admission/write-slots.ts';
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
}

export function gatewayMetrics(member: string): GatewayMetrics {
  const registry = new MetricsRegistry('gateway', member);
  registry.collectProcess();
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
  };
}

interface Observed {
  readonly publisher: LogPublisher;
  readonly membership: Membership;
  readonly sessions: Sessions;
  readonly slots: WriteSlots;
}

export function observeGateway(
  { registry }: GatewayMetrics,
  { publisher, membership, sessions, slots }: Observed,
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
  registry.gauge('membership_age_seconds', 'Since the registry last answered', [], (set) =>
    set(membership.ageMs / 1000),
  );
}
