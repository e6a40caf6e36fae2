import type { ShardEngineOptions } from './options.ts';
import type { WorkerSettings } from './protocol.ts';

/** Merged segments are no larger than this, and no larger than this share of the soft limit. */
const MERGED_BYTES_MAX = 1024 * 1024 * 1024;
const MERGED_SHARE = 0.5;

/** @param incarnation how often the thread was started before */
export function workerSettings(
  options: ShardEngineOptions,
  folder: string,
  incarnation: number,
): WorkerSettings {
  const { graphThreshold, segmentBytesMax, snapshotKeepMs, idleUnloadMs, memory } = options;
  const mergedBytesMax = Math.min(MERGED_BYTES_MAX, memory.softBytes * MERGED_SHARE);
  return {
    folder,
    incarnation,
    graphThreshold,
    segmentBytesMax,
    mergedBytesMax: Math.max(segmentBytesMax, mergedBytesMax),
    snapshotKeepMs,
    idleUnloadMs,
  };
}
