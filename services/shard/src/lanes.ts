import type { PerLane } from '@engram/model';
import type { ShardConfig } from './config.ts';

/** What a shard takes from the log of each lane before it is applied. */
export function laneRoom(
  config: ShardConfig,
): PerLane<{ readonly observations: number; readonly bytes: number }> {
  const bytes = config.ENGRAM_LANE_BYTES_MAX;
  return {
    high: { observations: config.ENGRAM_LANE_HIGH_MAX, bytes },
    normal: { observations: config.ENGRAM_LANE_NORMAL_MAX, bytes },
    low: { observations: config.ENGRAM_LANE_LOW_MAX, bytes },
  };
}

/** How long what waits in each lane may take to apply. */
export function lagMaxMs(config: ShardConfig): PerLane<number> {
  return {
    high: config.ENGRAM_LAG_HIGH_MAX_MS,
    normal: config.ENGRAM_LAG_NORMAL_MAX_MS,
    low: config.ENGRAM_LAG_LOW_MAX_MS,
  };
}
