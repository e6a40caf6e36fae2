// From what a cluster is to take to what it has to have, by what an observation costs. Averages only: how long
// batches wait for each other is `simulate.ts`.

import { DEFAULT_PARTITION_COUNT } from '@engram/model';
import { assumptionsOf, warningsOf } from './advice.ts';
import type { Coefficients } from './coefficients.ts';
import { linear, loggedBytes } from './costs.ts';
import type { Demand } from './demand.ts';
import {
  coresForWork,
  graphCosts,
  limitsOf,
  memoryOfShard,
  observationCosts,
  rowsOf,
  type Limit,
} from './shard-load.ts';
import { sharesOf, type Shares } from './shares.ts';

type Stage = 'gateway' | 'log' | 'apply' | 'graph' | 'merges' | 'rewrites' | 'idle';

export interface Plan {
  readonly shards: number;
  readonly gateways: number;
  readonly partitions: number;
  /** Whether the fullest shard stays within the share that may be used. */
  readonly isEnough: boolean;
  /** Busy at the rate that was asked for. */
  readonly coresBusy: Readonly<Record<Stage, number>>;
  /** To have, so that they are busy to the share that may be used. */
  readonly cores: number;
  /** Of the shard with the most. */
  readonly shares: Shares;
  readonly limits: readonly Limit[];
  /** Observations a second that so many shards take when what they have least of is used up. */
  readonly capacityPerS: number;
  /** That live, without copies. */
  readonly observations: number;
  readonly memoryPerShardBytes: number;
  readonly memoryBytes: number;
  /** Of an hour, all replicas together, and what it cannot do without: two checkpoints' time. */
  readonly logBytes: number;
  readonly logBytesMin: number;
  /** Of all shards, and of the blob store. */
  readonly folderBytes: number;
  readonly checkpointBytes: number;
  readonly assumptions: readonly string[];
  readonly warnings: readonly string[];
}

const US_PER_S = 1_000_000;
/** Fewer and the ring spreads them badly: a shard has two or four of them. */
const PARTITIONS_PER_SHARD = 6;
const SHARDS_MAX = 256;
/** Placing all partitions takes long with many shards: they grow by so much of what is missing at a time. */
const STEP_SHARE = 0.6;
/** `ENGRAM_LOG_KEEP_MS`, and `ENGRAM_CHECKPOINT_MS` twice. */
const LOG_KEEP_S = 3_600;
const LOG_KEEP_MIN_S = 60;

export function plan(demand: Demand, coefficients: Coefficients): Plan {
  const { ratePerS, utilisation } = demand;
  const found = shardsFor(demand, coefficients);
  const { shards, partitions, shares, limits } = found;
  const costs = observationCosts(coefficients, demand);
  const { cpu, disk, memory } = coefficients;
  const busy = (us: number) => (us * ratePerS) / US_PER_S;
  const gateways = Math.max(1, Math.ceil(busy(costs.gateway * cpu.gatewayMainShare) / utilisation));
  const { copies, dimension, logReplicas, metadataBytes, spaces } = demand;
  const coresBusy = {
    gateway: busy(costs.gateway),
    log: busy(costs.store * logReplicas + costs.deliver * copies),
    apply: busy(costs.apply * copies),
    graph: busy(costs.graph * copies),
    merges: busy(costs.merges * copies),
    rewrites: busy(costs.rewrites * copies),
    idle:
      gateways * cpu.idle.gateway +
      shards * (cpu.idle.shard + demand.coresPerShard * cpu.idle.worker) +
      logReplicas * cpu.idle.nats +
      cpu.idle.redis,
  };
  const observations = rowsOf(demand).each * spaces;
  const logged = ratePerS * loggedBytes(coefficients, demand) * logReplicas;
  const memoryPerShardBytes = memoryOfShard(coefficients, demand, shares);
  const evenly = { ...shares, shard: 1 / shards };
  const planned = {
    ...found,
    gateways,
    coresBusy,
    cores: Object.values(coresBusy).reduce((sum, cores) => sum + cores, 0) / utilisation,
    capacityPerS: Math.min(...limits.map(({ perS }) => perS)),
    observations,
    memoryPerShardBytes,
    memoryBytes:
      shards * memoryOfShard(coefficients, demand, evenly) + gateways * memory.gatewayBytes,
    logBytes: logged * LOG_KEEP_S,
    logBytesMin: logged * LOG_KEEP_MIN_S,
    folderBytes: observations * copies * (linear(disk.folder, dimension) + metadataBytes),
    checkpointBytes: observations * (linear(disk.checkpoint, dimension) + metadataBytes),
    partitions,
  };
  return {
    ...planned,
    assumptions: assumptionsOf(demand, coefficients, planned),
    warnings: warningsOf(demand, coefficients, planned),
  };
}

/** What a number of shards can take, whether it is the planned one or not. */
export function limitsFor(
  demand: Demand,
  coefficients: Coefficients,
  shards: number,
  partitions: number,
): { readonly shares: Shares; readonly limits: readonly Limit[] } {
  const { copies, coresPerShard: workers, spaces } = demand;
  const shares = sharesOf({ spaces, shards, copies, partitions, workers });
  return { shares, limits: limitsOf(coefficients, demand, shares) };
}

interface Found {
  readonly shards: number;
  readonly partitions: number;
  readonly isEnough: boolean;
  readonly shares: Shares;
  readonly limits: readonly Limit[];
}

function shardsFor(demand: Demand, coefficients: Coefficients): Found {
  const { copies, ratePerS, spaces, utilisation } = demand;
  const least = Math.max(copies, fewest(demand, coefficients));
  const partitions = demand.partitions ?? partitionsFor(least);
  // More shards than copies of spaces or of partitions would have nothing to do.
  const most = Math.min(SHARDS_MAX, Math.max(copies, Math.min(spaces, partitions) * copies));
  let shards = Math.min(least, most);
  for (;;) {
    const { shares, limits } = limitsFor(demand, coefficients, shards, partitions);
    const isEnough = limits.every(({ perS }) => ratePerS <= perS * utilisation);
    const isLast = shards === most || !couldDo(demand, coefficients);
    if (isEnough || isLast) return { shards, partitions, isEnough, shares, limits };
    const missing = ratePerS / utilisation / Math.min(...limits.map(({ perS }) => perS)) - 1;
    shards = Math.min(most, shards + Math.max(1, Math.floor(shards * missing * STEP_SHARE)));
  }
}

/** If the ring spread everything evenly. */
function fewest(demand: Demand, coefficients: Coefficients): number {
  const costs = observationCosts(coefficients, demand);
  const { copies, coresPerShard, memoryPerShardBytes, ratePerS, utilisation } = demand;
  const { applyMainShare, idle } = coefficients.cpu;
  const busy = (us: number) => (us * copies * ratePerS) / US_PER_S / utilisation;
  const { shardBytes } = coefficients.memory;
  const all = memoryOfShard(coefficients, demand, {
    shard: 1,
    worker: 1,
    spacesOfShard: demand.spaces * copies,
  });
  const room = Math.max(1, (memoryPerShardBytes - shardBytes) * utilisation);
  return Math.ceil(
    Math.max(
      1,
      busy(costs.apply + graphCosts(costs)) / coresForWork(coresPerShard, idle),
      busy(costs.apply * applyMainShare),
      (all - shardBytes) / room,
    ),
  );
}

/** Whether a shard could take the one space that it has at least. */
function couldDo(demand: Demand, coefficients: Coefficients): boolean {
  const share = 1 / (demand.spaces * demand.copies);
  const limits = limitsOf(coefficients, demand, { shard: share, worker: share, spacesOfShard: 1 });
  return limits.every(({ perS }) => demand.ratePerS <= perS * demand.utilisation);
}

/** A power of two: fixed when a cluster is made, so with room. */
function partitionsFor(shards: number): number {
  const wanted = Math.min(shards, SHARDS_MAX) * PARTITIONS_PER_SHARD;
  return Math.max(DEFAULT_PARTITION_COUNT, 2 ** Math.ceil(Math.log2(wanted)));
}
