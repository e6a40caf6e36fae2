import type { ClusterError, PartitionId, PerLane, SpaceId } from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { MemoryLimits, MemoryState } from './memory-guard.ts';
import type { MemoryUsage } from './memory-usage.ts';

export interface LaneCapacity {
  readonly observations: number;
  readonly bytes: number;
}

export interface ShardEngineOptions {
  /** A cache: what stands in it from a process before is removed. */
  readonly dataDir: string;
  readonly workers: number;
  readonly lanes: PerLane<LaneCapacity>;
  readonly minBatch: number;
  readonly maxBatch: number;
  /** Rows that wait for a graph on one thread before another takes some over. */
  readonly stealThreshold: number;
  /** Between two looks for work to take over. */
  readonly idleSleepMs: number;
  readonly memory: MemoryLimits;
  readonly graphThreshold: number;
  readonly segmentBytesMax: number;
  readonly idleUnloadMs: number;
  readonly snapshotKeepMs: number;
  readonly clock: Clock;
  readonly events: EngineEvents;
  /** The thread's built entry file; another one only in tests. */
  readonly entry?: URL;
  /** What the process takes; something else only in tests. */
  readonly memoryUsage?: () => MemoryUsage;
}

export interface EngineEvents {
  /** A worker thread has ended and is started again. */
  readonly onCrash: (crash: {
    readonly worker: number;
    readonly error: ClusterError;
    readonly restarts: number;
  }) => void;
  /**
   * What these partitions had in memory is gone, or their files were damaged: their entries must be
   * applied again, from the first. Called before the new thread has any work.
   */
  readonly onLost: (partitions: readonly PartitionId[], spaces: readonly SpaceId[]) => void;
  /** Memory has become short, or is no longer. */
  readonly onMemory?: (state: MemoryState, privateBytes: number) => void;
  /** Threads end again and again: the engine is of no use any more. */
  readonly onFailed: (error: ClusterError) => void;
  /** Something could not be written or read; the engine goes on. */
  readonly onFault: (message: string) => void;
}

export const SNAPSHOT_KEEP_MS = 60_000;
