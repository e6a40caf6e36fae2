export type { CheckpointedSpace, EngineCheckpoints } from './checkpoints.ts';
export type { MemoryLimits, MemoryState } from './memory-guard.ts';
export { SNAPSHOT_KEEP_MS } from './options.ts';
export type { EngineEvents, LaneCapacity, ShardEngineOptions } from './options.ts';
export type { PageAnswer } from './protocol.ts';
export type { Applied, Entry } from './entry.ts';
export { ShardEngine } from './shard-engine.ts';
export type { EngineTotals } from './totals.ts';
export { cacheFolderOf } from './worker-settings.ts';
