import type { Lane } from './lane.ts';

/** Free-form JSON object beside an embedding. */
export type Metadata = Readonly<Record<string, unknown>>;

/** One observation as clients write it. */
export interface Observation {
  readonly id: string;
  /** Numbers, or the base64 of little-endian float32 values. */
  readonly embedding: readonly number[] | Float32Array | string;
  readonly metadata?: Metadata;
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly timestamp?: number;
  readonly lane?: Lane;
}

/** Bounds that hold on every way in, REST as well as NATS. */
export const LIMITS = {
  /** Observations in one request or message. */
  batchCountMax: 10_000,
  /** JSON text of one observation's metadata. */
  metadataBytesMax: 16 * 1024,
  /** Nesting of metadata; deeper trees make recursive code of consumers overflow. */
  metadataDepthMax: 16,
  /** Results of one recall. */
  kMax: 1_000,
  /** Results of one recall that is streamed. */
  streamKMax: 10_000,
  efMax: 4_096,
  /** Clauses in one filter. */
  filterClausesMax: 256,
  filterDepthMax: 8,
  filterBytesMax: 64 * 1024,
  /** Spaces of one recall. */
  recallSpacesMax: 64,
  waitMsMax: 60_000,
} as const;

/** How far a write has come when it is answered. */
export const ACK_LEVELS = ['logged', 'searchable', 'indexed'] as const;
export type AckLevel = (typeof ACK_LEVELS)[number];
