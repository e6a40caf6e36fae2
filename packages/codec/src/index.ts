export { encodeBatch, encodeDeletes, FRAME_BYTES_MAX, isTimestamp } from './batch.ts';
export type { BatchItem, BatchOptions, EncodedBatch, EncodedFrame } from './batch.ts';
export {
  bodyKind,
  CONTENT_TYPES,
  parseMsgpack,
  readItems,
  readObservations,
  sniffBodyKind,
} from './body.ts';
export type { BodyKind } from './body.ts';
export { embeddingFault, writeEmbedding } from './embedding.ts';
export type { EmbeddingFault } from './embedding.ts';
export { decodeFrame, frameCounts } from './frame.ts';
export type { Frame } from './frame.ts';
export { encodeFrame, FRAME_HEADER_BYTES } from './frame-encoder.ts';
export type { FrameColumns } from './frame-encoder.ts';
export { parseJson } from './json.ts';
export { encodeMetadata, metadataTextFault } from './metadata.ts';
export { itemError, observationFault } from './observation-fault.ts';
export type { ObservationFault } from './observation-fault.ts';
export { passFrame } from './pass-frame.ts';
export { decodeWire, encodeWire } from './wire.ts';
export { embeddingBytes, embeddingOf } from './shard-api.ts';
export type {
  AwaitReply,
  AwaitRequest,
  CursorRequest,
  GetReply,
  GetRequest,
  IdsReply,
  IdsRequest,
  Include,
  NextReply,
  NextRequest,
  RecallReply,
  RecallRequest,
  ReplayState,
  ShardLatency,
  ShardMethod,
  Standing,
  StatsReply,
  StatsRequest,
  StatusReply,
  StorageFault,
  WireHit,
} from './shard-api.ts';
