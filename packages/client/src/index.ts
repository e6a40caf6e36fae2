export { ClusterError } from '@engram/model';
export { EngramClient } from './client.ts';
export type { ClientOptions } from './client.ts';
export type { ApiKeySource } from './http-transport.ts';
export { DeadLetterCalls } from './dead-letters.ts';
export type {
  DeadLetter,
  DeadLetterFilter,
  DeadLetterListOptions,
  DeadLetterSelection,
  PurgeResult,
  RedriveResult,
} from './dead-letters.ts';
export { ConnectionError, PartialFailure } from './errors.ts';
export type { ConnectionFault } from './errors.ts';
export { ProducerFailure } from './producer/options.ts';
export type { Acknowledged, Produced, ProducerOptions, Rejected } from './producer/options.ts';
export { Producer } from './producer/producer.ts';
export { SpaceClient } from './space-client.ts';
export type { Typed, TypedProducer } from './space-client.ts';
export type { TailEvent, TailOptions } from './tail.ts';
export type { Sent, SessionOptions, SessionPace, SessionPutOptions } from './session/options.ts';
export { WriteSession } from './session/write-session.ts';
export type {
  Method,
  Transport,
  TransportRequest,
  TransportResponse,
  TransportStream,
} from './transport.ts';
export { RECALL_FIELDS } from './types.ts';
export type {
  CallOptions,
  ClusterMember,
  ClusterPartition,
  ClusterStatus,
  LimitedTenant,
  CreatedSpace,
  CreateSpaceOptions,
  DeleteOptions,
  DeleteResult,
  EmbeddingEncoding,
  PutOptions,
  PutResult,
  RecallEnd,
  RecallField,
  RecallHit,
  RecallQuery,
  RecallResult,
  RingMember,
  RingMove,
  RingPartition,
  RingStatus,
  SpaceStatus,
  SpaceSummary,
  StoredObservation,
  VerifyDifference,
  VerifyOptions,
  VerifyResult,
} from './types.ts';
