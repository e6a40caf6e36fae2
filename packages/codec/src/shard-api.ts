// What gateways ask of shards, over NATS request/reply in MessagePack. Embeddings are the bytes of
// little-endian float32 values.

import type { AckLevel, SpaceConfig } from '@engram/model';

export type ShardMethod =
  'recall' | 'next' | 'keep' | 'close' | 'get' | 'ids' | 'stats' | 'await' | 'status';

export type Include = 'metadata' | 'embedding' | 'timestamp';

export interface RecallRequest {
  readonly config: SpaceConfig;
  readonly embedding: Uint8Array;
  readonly k: number;
  readonly ef?: number;
  /** Every observation is scored, whatever the graphs propose. */
  readonly exact?: boolean;
  /** As the client wrote it; the gateway has validated it. */
  readonly filter?: unknown;
  readonly include: readonly Include[];
  /** Position token to wait for, and for how long. */
  readonly minPosition?: string;
  /** Position token of a snapshot: nothing newer is seen, and all of it is waited for. */
  readonly asOf?: string;
  readonly waitMs: number;
  /** The first page is answered, with a cursor when there are more. */
  readonly stream?: true;
}

/** For the next page of a streamed recall, of the shard that answered the one before. */
export interface NextRequest {
  readonly config: SpaceConfig;
  readonly cursor: string;
}

export interface NextReply {
  readonly hits: readonly WireHit[];
  /** Absent with the last page. */
  readonly cursor?: string;
}

/** `keep`: its next page will be asked for later; `close`: never. Nobody waits for the answer. */
export type CursorRequest = NextRequest;

export interface WireHit {
  readonly id: string;
  readonly score: number;
  /** JSON text. */
  readonly metadata?: string;
  readonly embedding?: Uint8Array;
  readonly timestamp?: number;
  /** Place in the log of the entry that wrote it, where ids are listed or one is read. */
  readonly sequence?: number;
}

/** How the shard that answers stands with the space's partition. */
export interface Standing {
  /** Position token up to which it has applied the partition. */
  readonly watermark: string;
  /** False while it still reads the log: something may be missing. */
  readonly isReady: boolean;
  /** Entries that it has still to apply; where they wait in the log other partitions' are among them. */
  readonly lag: number;
}

export type RecallReply = NextReply & Standing;

export interface GetRequest {
  readonly config: SpaceConfig;
  readonly id: string;
  readonly minPosition?: string;
  readonly waitMs: number;
  /** The partition is waited for until all that is stored of it is there. */
  readonly needsReady?: boolean;
}

export interface GetReply extends Standing {
  readonly found?: WireHit & { readonly sequence: number };
}

/**
 * Every id with its sequence, of the state of one moment; what comes after the first page is `next`. The
 * partition is waited for until all that is stored of it is there.
 */
export interface IdsRequest {
  readonly config: SpaceConfig;
  /** Position token of the entries up to `asOf`: they are waited for. */
  readonly minPosition: string;
  readonly waitMs: number;
  /** Sequence in the log: entries above it are not seen, whatever their lane. */
  readonly asOf: number;
}

export type IdsReply = RecallReply;

export interface StatsRequest {
  readonly config: SpaceConfig;
}

export interface StatsReply extends Standing {
  readonly count: number;
  readonly indexed: number;
  readonly tombstones: number;
  readonly segments: number;
  /** Private memory of the index, estimated. */
  readonly bytes: number;
  /** Of the page cache, for mapped graphs. */
  readonly mappedBytes: number;
  readonly diskBytes: number;
}

export interface AwaitRequest {
  readonly config: SpaceConfig;
  readonly position: string;
  readonly level: Exclude<AckLevel, 'logged'>;
  readonly timeoutMs: number;
}

export interface AwaitReply {
  readonly isReached: boolean;
}

/** How far a replay is: everything of the log from `start` to `at` is read, `until` is where it ends. */
export interface ReplayState {
  readonly partitions: readonly number[];
  readonly start: number;
  readonly at: number;
  readonly until: number;
  /** Entries before it that wait, as far as the server told. */
  readonly pending: number;
  readonly elapsedMs: number;
}

export interface StatusReply {
  readonly held: readonly number[];
  readonly ready: readonly number[];
  readonly replaying: number;
  readonly replays: readonly ReplayState[];
  /** Entries that wait in the log: of each lane, and of the replays (`replay`). */
  readonly lag: Readonly<Record<string, number>>;
  /** Since the process began; shards of before there was a console do not tell. */
  readonly latency?: ShardLatency;
  /** Observations of each lane that were applied since the process began. */
  readonly applied: Readonly<Record<string, number>>;
  /** Its clock, milliseconds since 1970. */
  readonly timeMs: number;
  readonly spaces: number;
  readonly observations: number;
  readonly rssBytes: number;
  /** Without the pages of mapped files, which the kernel takes back. */
  readonly privateBytes: number;
  /** Whether memory is short. */
  readonly memory: 'normal' | 'soft' | 'hard';
  /** What keeps it from storing what it has; absent where nothing does. */
  readonly storageFault?: StorageFault;
}

/** Counts of those that took at most so many seconds each, and of all, which is the last count. */
export interface ShardLatency {
  readonly boundsS: readonly number[];
  /** From the acknowledgement by the log until a recall sees it, by lane. */
  readonly freshness: Readonly<Record<string, readonly number[]>>;
  readonly recall: readonly number[];
}

export interface StorageFault {
  readonly message: string;
  readonly forMs: number;
}

/** The bytes of an embedding, shared with it. */
export function embeddingBytes(embedding: Float32Array): Uint8Array {
  return new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength);
}

/** The embedding in some bytes; they are copied when they are not aligned. */
export function embeddingOf(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
