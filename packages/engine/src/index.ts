export type { MemoryLimits, MemoryState } from './memory-guard.ts';
export { SNAPSHOT_KEEP_MS } from './options.ts';
export type { EngineEvents, LaneCapacity, ShardEngineOptions } from './options.ts';
export { ShardEngine } from './shard-engine.ts';
export type { Applied, EngineTotals, Entry } from './shard-engine.ts';
