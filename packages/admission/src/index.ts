export {
  isAtLeast,
  nextPressure,
  NO_PRESSURE,
  PRESSURE_FROM,
  pressureOf,
  PRESSURES,
} from './pressure.ts';
export type { Pressure, PressureState } from './pressure.ts';
export { isOpen, jittered, refusalError, refusalOf } from './refusal.ts';
export type { Refusal, Scope } from './refusal.ts';
export { ShardPressure } from './shard-pressure.ts';
export type { LaneLoad, MemoryLoad, ShardPressureOptions } from './shard-pressure.ts';
export { decodeSignal, encodeSignal, isNewer } from './signal.ts';
export type { Cause, LaneSignal, ShardSignal } from './signal.ts';
