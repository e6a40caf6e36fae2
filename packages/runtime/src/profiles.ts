import { availableParallelism, totalmem } from 'node:os';

export const PROFILES = [
  'production',
  'low-latency',
  'high-throughput',
  'resource-constrained',
] as const;
export type Profile = (typeof PROFILES)[number];

/** Threads beyond any machine's cores only cost memory. */
export const WORKERS_MAX = 256;

/** What a profile decides for a shard; each value can be set on its own. */
interface ProfileValues {
  readonly ENGRAM_WORKERS: number;
  /** Observations that a lane takes, over all workers, queued or at work. */
  readonly ENGRAM_LANE_HIGH_MAX: number;
  readonly ENGRAM_LANE_NORMAL_MAX: number;
  readonly ENGRAM_LANE_LOW_MAX: number;
  /** Observations that a worker takes at once: the least and the most. */
  readonly ENGRAM_MIN_BATCH: number;
  readonly ENGRAM_MAX_BATCH: number;
  /** Observations without a graph at one worker from which on an idle one helps it. */
  readonly ENGRAM_STEAL_THRESHOLD: number;
  /**
   * In the reference how long an idle worker sleeps before it polls its queues. Ours are woken by what
   * comes; it is how long one waits before it looks for background work, such as compaction, again.
   */
  readonly ENGRAM_IDLE_SLEEP_MS: number;
  /** How long what waits in a lane may take to apply, before the lane is closed to more. */
  readonly ENGRAM_LAG_HIGH_MAX_MS: number;
  readonly ENGRAM_LAG_NORMAL_MAX_MS: number;
  readonly ENGRAM_LAG_LOW_MAX_MS: number;
  readonly ENGRAM_MEMORY_SOFT_BYTES: number;
  readonly ENGRAM_MEMORY_HARD_BYTES: number;
}

export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

/** What this process may use: of a container its limits, not the host's. */
export function thisMachine(): Machine {
  const constrained = process.constrainedMemory();
  const total = totalmem();
  // Without a limit the answer is 0, or a number beyond any memory.
  const memoryBytes = constrained > 0 && constrained < total ? constrained : total;
  return { cores: availableParallelism(), memoryBytes };
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;
/** A limit that the machine does not have protects nothing. */
const SOFT_SHARE_MAX = 0.5;
const HARD_SHARE_MAX = 0.8;

/**
 * The four ways to run a shard. The numbers are those of the reference's performance analysis, section
 * "Configuration Profiles", which counts its workers on eight cores.
 */
export function profileValues(profile: Profile, { cores, memoryBytes }: Machine): ProfileValues {
  const memory = (softBytes: number, hardBytes: number) => ({
    ENGRAM_MEMORY_SOFT_BYTES: Math.floor(Math.min(softBytes, memoryBytes * SOFT_SHARE_MAX)),
    ENGRAM_MEMORY_HARD_BYTES: Math.floor(Math.min(hardBytes, memoryBytes * HARD_SHARE_MAX)),
  });
  const lanes = (high: number, normal: number, low: number) => ({
    ENGRAM_LANE_HIGH_MAX: high,
    ENGRAM_LANE_NORMAL_MAX: normal,
    ENGRAM_LANE_LOW_MAX: low,
  });
  const lags = (high: number, normal: number, low: number) => ({
    ENGRAM_LAG_HIGH_MAX_MS: high,
    ENGRAM_LAG_NORMAL_MAX_MS: normal,
    ENGRAM_LAG_LOW_MAX_MS: low,
  });
  switch (profile) {
    case 'production':
      return {
        ENGRAM_WORKERS: Math.min(cores, WORKERS_MAX),
        ...lanes(5_000, 50_000, 25_000),
        ...lags(1_000, 4_000, 30_000),
        ENGRAM_MIN_BATCH: 10,
        ENGRAM_MAX_BATCH: 500,
        ENGRAM_STEAL_THRESHOLD: 1_000,
        ENGRAM_IDLE_SLEEP_MS: 1,
        ...memory(4 * GIB, 8 * GIB),
      };
    case 'low-latency':
      return {
        ENGRAM_WORKERS: Math.max(1, Math.ceil(cores / 2)),
        ...lanes(1_000, 10_000, 5_000),
        ...lags(500, 1_000, 10_000),
        ENGRAM_MIN_BATCH: 5,
        ENGRAM_MAX_BATCH: 50,
        ENGRAM_STEAL_THRESHOLD: 500,
        ENGRAM_IDLE_SLEEP_MS: 0,
        ...memory(4 * GIB, 8 * GIB),
      };
    case 'high-throughput':
      return {
        ENGRAM_WORKERS: Math.min(2 * cores, WORKERS_MAX),
        ...lanes(10_000, 100_000, 50_000),
        ...lags(2_000, 10_000, 60_000),
        ENGRAM_MIN_BATCH: 100,
        ENGRAM_MAX_BATCH: 1_000,
        ENGRAM_STEAL_THRESHOLD: 5_000,
        ENGRAM_IDLE_SLEEP_MS: 5,
        ...memory(4 * GIB, 8 * GIB),
      };
    case 'resource-constrained':
      return {
        ENGRAM_WORKERS: Math.min(2, cores),
        ...lanes(500, 5_000, 2_000),
        ...lags(1_000, 4_000, 30_000),
        ENGRAM_MIN_BATCH: 10,
        ENGRAM_MAX_BATCH: 200,
        ENGRAM_STEAL_THRESHOLD: 1_000,
        ENGRAM_IDLE_SLEEP_MS: 2,
        ...memory(768 * MIB, GIB),
      };
  }
}
