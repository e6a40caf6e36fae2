export { CAUSES, isCause } from './causes.ts';
export type { CauseName } from './causes.ts';
export { ClusterError, ERRORS, pointerStep } from './errors.ts';
export type { ErrorCode, ErrorDetails, ItemError, Retry, WireError } from './errors.ts';
export { explainError, isErrorCode } from './explanation.ts';
export type { Explanation } from './explanation.ts';
export {
  isToken,
  OBSERVATION_ID_BYTES_MAX,
  observationIdFault,
  parseMemberId,
  parseSpaceId,
} from './ids.ts';
export type { MemberId, PartitionId, SpaceId } from './ids.ts';
export { compileFilter } from './filter.ts';
export type { Predicate } from './filter.ts';
export { DEFAULT_LANE, isLane, LANES, perLane } from './lane.ts';
export type { Lane, PerLane } from './lane.ts';
export { ACK_LEVELS, LIMITS } from './observation.ts';
export type { AckLevel, Metadata, Observation } from './observation.ts';
export { DEFAULT_PARTITION_COUNT, fnv1a32, partitionOf } from './partition.ts';
export { formatPosition, latestPosition, parsePosition, positionOf } from './position.ts';
export type { Position } from './position.ts';
export {
  differingOptions,
  ENGINES,
  METRICS,
  parseSpaceOptions,
  QUANTIZATIONS,
  SPACE_LIMITS,
} from './space.ts';
export type { Engine, Metric, Quantization, SpaceConfig, SpaceOptions } from './space.ts';
