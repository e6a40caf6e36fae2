// One load on a whole cluster of this machine, and all that can be told of it: rates, latency, state, use of
// the processor by who has it, memory, and recall@10 of what came of it.

import { setTimeout as pause } from 'node:timers/promises';
import type { EngramClient } from '@engram/client';
import { K } from './dataset.ts';
import { framesOf } from './engine/fixture.ts';
import { applied, type FreshCluster } from './fresh-cluster.ts';
import { cpuMsOf, memoryOf } from './process-usage.ts';
import { mean, percentile } from './samples.ts';
import { rowRecall, type Vectors } from './vectors.ts';
import { writeLoad, type Pace, type WriteTally } from './write-load.ts';

export interface ClusterLoadOptions {
  readonly vectors: Vectors;
  /** Each gets all rows, or what there is time for. */
  readonly spaces: number;
  /** Of their names, where one cluster has several loads; default `load`. */
  readonly prefix?: string;
  readonly spacesAtOnce?: number;
  /** Observations of one request. */
  readonly batch: number;
  readonly pace: Pace;
  /** Without it until every space has every row. */
  readonly durationMs?: number;
}

export const ROLES = ['client', 'gateway', 'nats', 'redis', 'shard'] as const;
export type Role = (typeof ROLES)[number];

export interface ClusterLoad {
  readonly tally: Omit<WriteTally, 'latenciesMs'>;
  readonly offeredRate: number;
  readonly acceptedRate: number;
  /** Accepted observations a second, until the last was searchable. */
  readonly searchableRate: number;
  /** … until every space that is large enough for a graph had all in one. */
  readonly graphRate: number;
  /** From sending until the log's acknowledgement. */
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  /** Of single writes beside the load, from when they were due until a recall sees them. */
  readonly freshP50Ms: number;
  readonly freshP99Ms: number;
  /** Cores that were busy on average, until all was in graphs. */
  readonly cores: Readonly<Record<Role, number>>;
  /** Processor time of everything for an accepted observation, in microseconds, until it was in a graph. */
  readonly cpuUs: number;
  /** Of the cluster's processes together, at its end. */
  readonly memoryBytes: number;
  /** Of the shards alone. */
  readonly shardBytes: number;
  /** The worst that a shard said of its lanes meanwhile. */
  readonly state: string;
  /** recall@10 of a space, with every row. */
  readonly recall: number;
}

/** Of groups that ask what a cluster takes: as many clients of the SDK. */
export const SENDERS = 8;
export const CLOSED = { kind: 'closed', senders: SENDERS, obeys: 'milliseconds' } as const;
/** Numbers in one batch, which is then one frame of at most 256 KiB. */
export const BATCH_FLOATS = 50_000;
const BATCH_MAX = 500;

const PROBES_PER_SECOND = 20;
const PROBE_SPACE = 'probe';
const STATUS_MS = 250;
const GRAPHS_POLL_MS = 50;
const GRAPHS_MS_MAX = 300_000;
/** ENGRAM_GRAPH_THRESHOLD by default. */
const GRAPH_THRESHOLD = 4_000;
const STATES = ['normal', 'warning', 'critical', 'overloaded'];
const OPEN_ENDED_MS = 600_000;
const CREATES_AT_ONCE = 16;

/** The largest batch that divides a set: every row is in one, or no space would have all of them. */
export function batchOf({ count, dimension }: Vectors): number {
  let batch = Math.min(BATCH_MAX, Math.floor(BATCH_FLOATS / dimension));
  while (count % batch !== 0) batch--;
  return batch;
}

export async function clusterLoad(
  fresh: FreshCluster,
  options: ClusterLoadOptions,
  signal: AbortSignal,
): Promise<ClusterLoad> {
  const { client, url } = fresh;
  const { vectors, batch, pace, durationMs, spacesAtOnce } = options;
  const spaces = Array.from(
    { length: options.spaces },
    (_, i) => `${options.prefix ?? 'load'}-${i}`,
  );
  await createSpaces(client, [...spaces, PROBE_SPACE], vectors.dimension, signal);
  const whole = Math.floor(vectors.count / batch) * batch;
  const bodies = framesOf(vectors, 0, whole, batch).map(({ bytes }) => bytes);
  const batchesMax = durationMs === undefined ? bodies.length * spaces.length : undefined;
  const usage = usageOf(fresh);
  const before = usage();
  const startedAt = performance.now();
  const load = writeLoad(
    {
      url,
      spaces,
      bodies,
      observationsPerBody: batch,
      lane: 'normal',
      ack: 'logged',
      pace,
      durationMs: durationMs ?? OPEN_ENDED_MS,
      ...(spacesAtOnce === undefined
        ? {}
        : { spacesAtOnce: Math.min(spacesAtOnce, spaces.length) }),
      ...(batchesMax === undefined ? {} : { batchesMax }),
    },
    signal,
  );
  const watched = await beside(fresh, vectors, load, signal);
  await applied(client, signal);
  const searchableMs = performance.now() - startedAt;
  const counts = await inGraphs(client, spaces, signal);
  const graphsMs = performance.now() - startedAt;
  const used = usage();
  const { latenciesMs, ...tally } = watched.load;
  const rate = (ms: number) => (tally.acceptedObservations * 1_000) / ms;
  const cpuMs = (role: Role) => used[role] - before[role];
  const complete = spaces.find((space) => counts.get(space) === vectors.count) ?? spaces[0]!;
  if (counts.get(complete) !== vectors.count && whole === vectors.count) {
    // Its recall is told all the same: a rate without it does not count.
    await writeLoad(
      {
        url,
        spaces: [complete],
        bodies,
        observationsPerBody: batch,
        lane: 'normal',
        ack: 'searchable',
        pace: { ...CLOSED, senders: 2 },
        durationMs: OPEN_ENDED_MS,
        batchesMax: bodies.length,
      },
      signal,
    );
    await inGraphs(client, [complete], signal);
  }
  return {
    tally,
    offeredRate: ((tally.sent + tally.notSent) * batch * 1_000) / tally.elapsedMs,
    acceptedRate: rate(tally.elapsedMs),
    searchableRate: rate(searchableMs),
    graphRate: rate(graphsMs),
    ackP50Ms: percentile(latenciesMs, 50),
    ackP99Ms: percentile(latenciesMs, 99),
    freshP50Ms: percentile(watched.probes.latenciesMs, 50),
    freshP99Ms: percentile(watched.probes.latenciesMs, 99),
    cores: Object.fromEntries(
      ROLES.map((role) => [role, cpuMs(role) / graphsMs]),
    ) as ClusterLoad['cores'],
    cpuUs: (ROLES.reduce((sum, role) => sum + cpuMs(role), 0) * 1_000) / tally.acceptedObservations,
    memoryBytes: memoryOf(Object.values(pidsOf(fresh)).flat()),
    shardBytes: memoryOf(pidsOf(fresh).shard),
    state: watched.state,
    recall: await recallOfSpace(client, complete, vectors, signal),
  };
}

/** Mean recall@10 through the gateway, one query after another. */
async function recallOfSpace(
  client: EngramClient,
  space: string,
  vectors: Vectors,
  signal: AbortSignal,
): Promise<number> {
  const found: number[] = [];
  for (const [query, embedding] of vectors.queries.entries()) {
    const { results } = await client.recall(space, { embedding, k: K }, { signal });
    const rows = results.map(({ id }) => Number(id.slice('row-'.length)));
    found.push(rowRecall(vectors, query, rows));
  }
  return mean(found);
}

/** The load to its end, with single writes and looks at the shards' state beside it. */
async function beside(
  { client, url }: FreshCluster,
  vectors: Vectors,
  load: Promise<WriteTally>,
  signal: AbortSignal,
): Promise<{ readonly load: WriteTally; readonly probes: WriteTally; readonly state: string }> {
  const isDone = new AbortController();
  let worst = 0;
  const watching = (async () => {
    while (!isDone.signal.aborted) {
      const { members } = await client.cluster({ signal });
      for (const { pressure } of members)
        worst = Math.max(worst, STATES.indexOf(pressure?.normal.level ?? 'normal'));
      await pause(STATUS_MS, undefined, { signal: isDone.signal }).catch(() => undefined);
    }
  })();
  const probing = probesUntil(url, vectors, isDone.signal, signal);
  // They fail as soon as the load does, and are asked after it.
  for (const each of [watching, probing]) each.catch(() => undefined);
  try {
    const tally = await load;
    isDone.abort();
    await watching;
    return { load: tally, probes: await probing, state: STATES[worst]! };
  } finally {
    isDone.abort();
    await Promise.allSettled([watching, probing]);
  }
}

/** A second of probes after the other: how long the load takes may not be known before. */
async function probesUntil(
  url: string,
  vectors: Vectors,
  isDone: AbortSignal,
  signal: AbortSignal,
): Promise<WriteTally> {
  const bodies = framesOf(vectors, 0, Math.min(500, vectors.count), 1).map(({ bytes }) => bytes);
  return writeLoad(
    {
      url,
      spaces: [PROBE_SPACE],
      bodies,
      observationsPerBody: 1,
      lane: 'normal',
      ack: 'searchable',
      pace: { kind: 'open', perSecond: PROBES_PER_SECOND, outstandingMax: 1_000 },
      durationMs: OPEN_ENDED_MS,
    },
    signal,
    isDone,
  );
}

async function createSpaces(
  client: EngramClient,
  names: readonly string[],
  dimension: number,
  signal: AbortSignal,
): Promise<void> {
  const queue = names.values();
  const creating = async (): Promise<void> => {
    for (const name of queue) await client.createSpace(name, { dimension }, { signal });
  };
  await Promise.all(Array.from({ length: CREATES_AT_ONCE }, creating));
}

/** Until all that is large enough is in graphs. @returns what each space has */
async function inGraphs(
  client: EngramClient,
  spaces: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const end = performance.now() + GRAPHS_MS_MAX;
  let left = [...spaces];
  for (;;) {
    const statuses = await Promise.all(
      left.map(async (space) => [space, await client.space(space, { signal })] as const),
    );
    left = statuses
      .filter(([, { count, indexed }]) => count >= GRAPH_THRESHOLD && indexed < count)
      .map(([space]) => space);
    for (const [space, { count }] of statuses) counts.set(space, count);
    if (left.length === 0) return counts;
    if (performance.now() >= end) throw new Error(`${left.length} spaces got no graphs`);
    await pause(GRAPHS_POLL_MS, undefined, { signal });
  }
}

/** Of its processes, by role. */
export function pidsOf({
  cluster,
}: FreshCluster): Readonly<Record<Exclude<Role, 'client'>, number[]>> {
  return {
    gateway: cluster.gateways.map(({ pid }) => pid),
    nats: [cluster.nats.pid],
    redis: [cluster.redis.pid],
    shard: cluster.shards.map(({ pid }) => pid),
  };
}

/** Processor time since the start of each process, in milliseconds. */
function usageOf(fresh: FreshCluster): () => Readonly<Record<Role, number>> {
  const pids = pidsOf(fresh);
  return () => {
    // Load and benchmark are threads of this process.
    const { user, system } = process.cpuUsage();
    return {
      client: (user + system) / 1_000,
      gateway: cpuMsOf(pids.gateway),
      nats: cpuMsOf(pids.nats),
      redis: cpuMsOf(pids.redis),
      shard: cpuMsOf(pids.shard),
    };
  };
}
