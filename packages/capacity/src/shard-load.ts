// What so many shards are asked for, and how much they can take.

import type { Coefficients } from './coefficients.ts';
import {
  batchCosts,
  GRAPH_ROWS_MIN,
  insertionUs,
  linear,
  mergesOf,
  rewritesOf,
  segmentRows,
} from './costs.ts';
import type { Demand } from './demand.ts';
import type { Shares } from './shares.ts';

/** Microseconds of a core for one observation, of one copy. */
export interface ObservationCosts {
  readonly gateway: number;
  readonly store: number;
  readonly deliver: number;
  readonly apply: number;
  /** The first graph that it is in. */
  readonly graph: number;
  /** Those of the merges as its space grows. */
  readonly merges: number;
  /** Those of segments that are written anew because others died. */
  readonly rewrites: number;
}

const US_PER_S = 1_000_000;

/** Rows of a space that live, and how many of them lie in its growing segment at most. */
export function rowsOf(demand: Demand): { readonly each: number; readonly growing: number } {
  const each = (demand.ratePerS * demand.retentionMs) / 1_000 / demand.spaces;
  return { each, growing: Math.min(each, segmentRows(demand)) };
}

export function observationCosts(coefficients: Coefficients, demand: Demand): ObservationCosts {
  const { gateway, store, deliver, apply } = batchCosts(coefficients, demand);
  const { batch, dimension } = demand;
  const { each, growing } = rowsOf(demand);
  const insertion = (rows: number) =>
    each < GRAPH_ROWS_MIN ? 0 : insertionUs(coefficients, dimension, rows);
  const merges = mergesOf(demand, each);
  const isSealed = each > growing;
  return {
    gateway: gateway / batch,
    store: store / batch,
    deliver: deliver / batch,
    apply: apply / batch,
    graph: insertion(growing),
    merges: merges * insertion(growing * 4),
    rewrites: isSealed ? rewritesOf() * insertion(growing) : 0,
  };
}

export function graphCosts({ graph, merges, rewrites }: ObservationCosts): number {
  return graph + merges + rewrites;
}

/** One thing that is used up first or later. */
export interface Limit {
  readonly what: 'cores' | 'main thread' | 'worker' | 'memory';
  /** Observations a second of the whole cluster at which the fullest shard has no more of it. */
  readonly perS: number;
}

/** Of a shard, without what it takes to be there. */
export function coresForWork(
  cores: number,
  { shard, worker }: Coefficients['cpu']['idle'],
): number {
  return Math.max(0.1, cores * (1 - worker) - shard);
}

/** Of the shard, or the thread, that has the most. */
export function limitsOf(
  coefficients: Coefficients,
  demand: Demand,
  { shard, worker, spacesOfShard }: Shares,
): readonly Limit[] {
  const costs = observationCosts(coefficients, demand);
  const { applyMainShare, idle } = coefficients.cpu;
  const { copies, coresPerShard, memoryPerShardBytes, ratePerS } = demand;
  const perS = (cores: number, us: number, share: number) =>
    (cores * US_PER_S) / (us * share * copies);
  const memory = memoryOfShard(coefficients, demand, { shard, worker, spacesOfShard });
  // What a process and its spaces have before the first observation does not grow with the rate.
  const fixed = coefficients.memory.shardBytes;
  return [
    {
      what: 'cores',
      perS: perS(coresForWork(coresPerShard, idle), costs.apply + graphCosts(costs), shard),
    },
    { what: 'main thread', perS: perS(1, costs.apply * applyMainShare, shard) },
    { what: 'worker', perS: perS(1, costs.apply * (1 - applyMainShare), worker) },
    {
      what: 'memory',
      perS: (ratePerS * Math.max(0, memoryPerShardBytes - fixed)) / Math.max(1, memory - fixed),
    },
  ];
}

/** Private memory of the shard that has the most, in bytes. */
export function memoryOfShard(
  { memory }: Coefficients,
  demand: Demand,
  { shard, spacesOfShard }: Shares,
): number {
  const { copies, dimension, metadataBytes, spaces } = demand;
  const { each, growing } = rowsOf(demand);
  const rows =
    growing * (linear(memory.growing, dimension) + metadataBytes) +
    (each - growing) * linear(memory.sealed, dimension);
  return memory.shardBytes + spacesOfShard * memory.perSpaceBytes + spaces * rows * shard * copies;
}
