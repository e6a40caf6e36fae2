import { LANES, perLane, type PerLane } from '@engram/model';
import type { ShardLatency } from '@engram/codec';
import {
  countsOf,
  LATENCY_SECONDS,
  MetricsRegistry,
  type Counter,
  type Histogram,
  type Labels,
} from '@engram/metrics';
import type { PartitionReader } from '@engram/partition';
import type { Membership } from '@engram/membership';
import type { MemoryLimits, ShardEngine } from '@engram/engine';
import { PRESSURES, type LaneSignal } from '@engram/admission';
import type { Checkpointer } from './checkpoints/checkpointer.ts';
import type { PressureMonitor } from './pressure/pressure-monitor.ts';

interface SampledRecalls {
  readonly recalls: Counter;
  readonly wanted: Counter;
  readonly found: Counter;
}

/** What a shard counts as it works; children are resolved once. */
export interface ShardMetrics {
  readonly registry: MetricsRegistry;
  readonly applied: PerLane<Counter.Internal>;
  readonly freshness: PerLane<Histogram.Internal<string>>;
  readonly stale: Counter;
  readonly deadLetters: Counter;
  readonly workerCrashes: Counter;
  readonly fileFaults: Counter;
  readonly requests: Histogram;
  readonly checkpoints: Counter;
  readonly restores: Counter;
  readonly trims: Counter;
  readonly rewinds: Counter;
  readonly sampled: SampledRecalls;
  /** What the console draws; everything else is for who scrapes. */
  latency(): Promise<ShardLatency>;
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
    workerCrashes: registry.counter(
      'worker_crashes_total',
      'Worker threads that ended and were started again',
    ),
    fileFaults: registry.counter(
      'file_faults_total',
      'Segment files that could not be written or were damaged',
    ),
    deadLetters: registry.counter('dead_letters_total', 'Refused items of log entries', ['reason']),
    requests,
    checkpoints: registry.counter(
      'checkpoints_total',
      'Checkpoints of partitions by what came of them',
      ['outcome'],
    ),
    restores: registry.counter('restores_total', 'Partitions taken over, by where they came from', [
      'from',
    ]),
    trims: registry.counter('log_trims_total', 'Times that the log of a partition was trimmed'),
    rewinds: registry.counter('log_rewinds_total', 'Times that a log came back without its end'),
    sampled: {
      recalls: registry.counter(
        'recall_samples_total',
        'Recalls that were compared with an exact search',
      ),
      wanted: registry.counter('recall_sample_wanted_total', 'Results of those exact searches'),
      found: registry.counter(
        'recall_sample_found_total',
        'Of those what the graphs had found: divided by what was wanted it is the recall',
      ),
    },
    latency: async () => {
      const counts = (of: Histogram, labels: Labels) => countsOf(of, labels, LATENCY_SECONDS);
      const lanes = LANES.map(async (lane) => [lane, await counts(freshness, { lane })] as const);
      return {
        boundsS: LATENCY_SECONDS,
        freshness: Object.fromEntries(await Promise.all(lanes)),
        recall: await counts(requests, { method: 'recall' }),
      };
    },
  };
}

/** What is looked at from outside. */
interface ShardParts {
  readonly reader: PartitionReader;
  readonly membership: Membership;
  readonly engine: ShardEngine;
  readonly checkpointer: Checkpointer;
  readonly pressure: PressureMonitor;
  readonly limits: MemoryLimits;
}

/** What is read from the running parts when somebody scrapes. */
export function observeShard(
  { registry }: ShardMetrics,
  { reader, membership, engine, checkpointer, pressure, limits }: ShardParts,
): void {
  registry.gauge('log_lag_messages', 'Entries that wait in the log', ['lane'], (set) => {
    for (const lane of LANES) set(reader.pending(lane), { lane });
    set(reader.replayPending, { lane: 'replay' });
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
  registry.total(
    'worker_busy_seconds_total',
    'Time that a worker thread was busy: its rate is its utilization',
    ['worker'],
    (set) => {
      for (let worker = 0; worker < engine.workers; worker++)
        set(engine.busyMs(worker) / 1000, { worker: String(worker) });
    },
  );
  registry.gauge(
    'lane_depth_observations',
    'Observations that wait for a worker',
    ['lane'],
    (set) => {
      for (const lane of LANES) set(engine.depth(lane).observations, { lane });
    },
  );
  registry.gauge(
    'lane_oldest_seconds',
    'How long the oldest entry has waited for a worker',
    ['lane'],
    (set) => {
      for (const lane of LANES) set(engine.oldestAgeMs(lane) / 1000, { lane });
    },
  );
  registry.gauge(
    'checkpoint_age_seconds',
    'Age of the oldest checkpoint of a partition that has newer entries',
    [],
    (set) => set(checkpointer.oldestMs / 1000),
  );
  registry.gauge('observations', 'Observations that can be found', [], (set) =>
    set(engine.totals.observations),
  );
  registry.gauge('spaces', 'Spaces by where they are', ['state'], (set) => {
    set(engine.totals.loaded, { state: 'loaded' });
    set(engine.totals.unloaded, { state: 'unloaded' });
  });
  registry.gauge('graph_backlog_rows', 'Observations that wait for a graph', [], (set) =>
    set(engine.totals.backlog),
  );
  registry.gauge('segments', 'Segments of all loaded spaces', [], (set) =>
    set(engine.totals.segments),
  );
  registry.gauge(
    'index_memory_bytes',
    'Memory of the indices, as they count it',
    ['kind'],
    (set) => {
      set(engine.totals.bytes, { kind: 'private' });
      set(engine.totals.mappedBytes, { kind: 'mapped' });
    },
  );
  registry.gauge(
    'memory_component_bytes',
    'Private memory of the process by what has it, as counted here',
    ['component'],
    (set) => {
      const { components } = engine.totals;
      for (const component of ['runtime', 'heaps', 'buffers', 'graphs'] as const)
        set(components[component], { component });
    },
  );
  registry.gauge('memory_private_bytes', 'Private memory of the process by the kernel', [], (set) =>
    set(engine.totals.privateBytes),
  );
  registry.gauge('memory_state', 'Whether memory is short: 0 no, 1 soft, 2 hard limit', [], (set) =>
    set({ normal: 0, soft: 1, hard: 2 }[engine.totals.memory]),
  );
  registry.gauge(
    'memory_limit_bytes',
    'Of private memory, from which on it is short',
    ['kind'],
    (set) => {
      set(limits.softBytes, { kind: 'soft' });
      set(limits.hardBytes, { kind: 'hard' });
    },
  );
  registry.gauge('segments_built_elsewhere', 'Since the start, by reason', ['reason'], (set) => {
    set(engine.assists.stolen, { reason: 'stolen' });
    set(engine.assists.merged, { reason: 'merged' });
  });
  const ofLanes = (name: string, help: string, of: (lane: LaneSignal) => number) =>
    registry.gauge(name, help, ['lane'], (set) => {
      const lanes = pressure.signal?.lanes;
      if (lanes !== undefined) for (const lane of LANES) set(of(lanes[lane]), { lane });
    });
  ofLanes('pressure_level', '0 normal, 1 warning, 2 critical, 3 overloaded', ({ level }) =>
    PRESSURES.indexOf(level),
  );
  ofLanes('stalled', 'Entries wait and none is applied: not overload, a fault', ({ cause }) =>
    cause === 'stalled' ? 1 : 0,
  );
  ofLanes('pressure_fill_ratio', 'Of what a lane may hold, beyond 1 too', ({ fill }) => fill);
  ofLanes('lag_seconds', 'How long what waits takes to apply', ({ lagMs }) => lagMs / 1_000);
  ofLanes(
    'drain_rate_observations',
    'Observations applied a second while some wait',
    ({ drainRate }) => drainRate,
  );
}
