import { join } from 'node:path';
import type { ShardEngineOptions } from './options.ts';
import type { WorkerSettings } from './protocol.ts';

/** Merged segments are no larger than this, and no larger than this share of the soft limit. */
const MERGED_BYTES_MAX = 1024 * 1024 * 1024;
const MERGED_SHARE = 0.5;

/** The heap of a worker thread allocates little that lives for long; V8 would take 48 MB for the young. */
export const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 6 };

/** Of a data folder: files that are stored elsewhere too, by the names of their blobs. */
export function cacheFolderOf(dataDir: string): string {
  return join(dataDir, 'segments');
}

/** Of a run folder; no space's folder has this name. */
export function sectionsFolderOf(runFolder: string): string {
  return join(runFolder, 'sections');
}

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
    sectionsFolder: sectionsFolderOf(folder),
    cacheFolder: cacheFolderOf(options.dataDir),
    incarnation,
    graphThreshold,
    segmentBytesMax,
    mergedBytesMax: Math.max(segmentBytesMax, mergedBytesMax),
    snapshotKeepMs,
    idleUnloadMs,
  };
}
