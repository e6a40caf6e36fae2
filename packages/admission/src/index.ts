export { AdaptiveLimit } from './adaptive-limit.ts';
export { HeardSignals } from './heard-signals.ts';
export { once } from './once.ts';
export { pressureOf, PRESSURES } from './pressure.ts';
export {
  batchOf,
  isOpen,
  jittered,
  logAway,
  logFull,
  lagText,
  refusalError,
  refusalOf,
  refusalOfSpace,
  RETRY_AWAY_MS,
} from './refusal.ts';
export type { Refusal } from './refusal.ts';
export { ShardPressure } from './shard-pressure.ts';
export type { MemoryLoad } from './shard-pressure.ts';
export { decodeSignal, encodeSignal } from './signal.ts';
export type { LaneSignal, ShardSignal } from './signal.ts';
export { SharedBuckets } from './shared-buckets.ts';
export type { Rate, Spending } from './shared-buckets.ts';
export { SpaceUse } from './space-use.ts';
