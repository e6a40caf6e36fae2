import { LANES, perLane, type PerLane } from '@engram/model';
import { LATENCY_SECONDS, MetricsRegistry, type Counter, type Histogram } from '@engram/metrics';
import type { PartitionReader } from '@engram/partition';
import type { Membership } from '@engram/membership';
import type { WorkerPool } from '@engram/worker-pool';

/** What a shard counts as it works; children are resolved once. */
export interface ShardMetrics {
  readonly registry: MetricsRegistry;
  readonly applied: PerLane<Counter.Internal>;
  readonly freshness: PerLane<Histogram.Internal<string>>;
  readonly stale: Counter;
  readonly deadLetters: Counter;
  readonly requests: Histogram;
}

export function shardMetrics(member: string): ShardMetrics {
  const registry = new MetricsRegistry('shard', member);
  registry.collectProcess();
  const applied = registry.counter(
    'applied_observations_total',
    'Observations and deletes applied',
    ['lane'],
  );
  const freshness = registry.histogram(
    'freshness_seconds',
    'From the acknowledgement by the log until a recall sees it',
    ['lane'],
    LATENCY_SECONDS,
  );
  const requests = registry.histogram(
    'shard_request_duration_seconds',
    'Requests of gateways',
    ['method'],
    LATENCY_SECONDS,
  );
  return {
    registry,
    applied: perLane((lane) => applied.labels(lane)),
    freshness: perLane((lane) => freshness.labels(lane)),
    stale: registry.counter('stale_observations_total', 'Entries that a later one had overtaken'),
    deadLetters: registry.counter('dead_letters_total', 'Refused items of log entries', ['reason']),
    requests,
  };
}

/** What is read from the running parts when somebody scrapes. */
export function observeShard(
  { registry }: ShardMetrics,
  reader: PartitionReader,
  membership: Membership,
  pool: WorkerPool,
): void {
  registry.gauge('log_lag_messages', 'Entries that wait in the log', ['lane'], (set) => {
    for (const lane of LANES) set(reader.pending(lane), { lane });
  });
  registry.gauge(
    'in_flight_messages',
    'Entries taken from the log and not applied',
    ['lane'],
    (set) => {
      for (const lane of LANES) set(reader.inFlight(lane), { lane });
    },
  );
  registry.gauge('partitions', 'Partitions by state', ['state'], (set) => {
    const ready = reader.ready.size;
    set(ready, { state: 'ready' });
    set(reader.held.length - ready, { state: 'catching-up' });
  });
  registry.gauge('ring_epoch', 'Epoch of the view that this member acts on', [], (set) =>
    set(membership.view.epoch),
  );
  registry.gauge('membership_age_seconds', 'Since the registry last answered', [], (set) =>
    set(membership.ageMs / 1000),
  );
  registry.gauge('worker_utilization_ratio', 'Busy share of a worker thread', ['worker'], (set) => {
    pool.threads.forEach((thread, worker) => set(thread.utilization, { worker: String(worker) }));
  });
}
