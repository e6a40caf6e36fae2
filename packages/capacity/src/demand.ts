import type { Batch } from './costs.ts';

/** What a cluster is to take. */
export interface Demand extends Batch {
  /** Observations a second, at the busiest. */
  readonly ratePerS: number;
  /** Written equally much. */
  readonly spaces: number;
  /** How long an observation lives, until its writer deletes or overwrites it. */
  readonly retentionMs: number;
  /** Shards that hold each partition: `ENGRAM_REPLICATION`. */
  readonly copies: number;
  /** Servers that hold the log: `ENGRAM_LOG_REPLICAS`. */
  readonly logReplicas: number;
  readonly coresPerShard: number;
  /** Private memory that a shard may have: `ENGRAM_MEMORY_HARD_BYTES`. */
  readonly memoryPerShardBytes: number;
  /** `ENGRAM_PARTITIONS`; undefined: as many as the shards want, 64 at least. */
  readonly partitions?: number | undefined;
  /** Share of a core, a thread or a memory that is used at the busiest; the rest keeps queues short. */
  readonly utilisation: number;
}

export const DEMAND_DEFAULTS = {
  copies: 1,
  logReplicas: 1,
  batch: 80,
  metadataBytes: 0,
  coresPerShard: 8,
  memoryPerShardBytes: 24 * 2 ** 30,
  utilisation: 0.7,
} as const;
