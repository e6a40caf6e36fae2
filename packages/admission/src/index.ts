export { pressureOf, PRESSURES } from './pressure.ts';
export { isOpen, jittered, refusalError, refusalOf, refusalOfSpace } from './refusal.ts';
export type { Refusal } from './refusal.ts';
export { ShardPressure } from './shard-pressure.ts';
export type { MemoryLoad } from './shard-pressure.ts';
export { decodeSignal, encodeSignal, isNewer } from './signal.ts';
export type { LaneSignal, ShardSignal } from './signal.ts';
