import type {
  AckLevel,
  Engine,
  ErrorCode,
  ItemError,
  Lane,
  Metadata,
  Metric,
  Quantization,
} from '@engram/model';

/** What a caller chooses for a space; the cluster fills in what is left out. */
export interface CreateSpaceOptions {
  readonly dimension: number;
  readonly metric?: Metric;
  readonly engine?: Engine;
  readonly quantization?: Quantization;
  readonly m?: number;
  readonly efConstruction?: number;
}

/** A space as the list shows it. */
export interface SpaceSummary {
  readonly space: string;
  readonly dimension: number;
  readonly metric: Metric;
  readonly engine: Engine;
  readonly quantization: Quantization;
  readonly m: number;
  readonly efConstruction: number;
  readonly createdAt: string;
}

export interface CreatedSpace extends SpaceSummary {
  /** False when the same space was there before. */
  readonly created: boolean;
}

/** A space with what its owners say about it. */
export interface SpaceStatus extends SpaceSummary {
  readonly count: number;
  /** Observations that are in a graph already; the others are searched exactly. */
  readonly indexed: number;
  readonly owners: readonly string[];
  readonly watermark: string;
  readonly bytes: number;
  /** True while no shard serves the space: the numbers above are then too small or missing. */
  readonly degraded: boolean;
}

/** How numbers travel in JSON: base64 of float32 is a third of the decimal text and exact. */
export type EmbeddingEncoding = 'base64' | 'numbers';

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface PutOptions extends CallOptions {
  /** How far the write must be before the answer; default `logged`, the cluster's own. */
  readonly ack?: AckLevel;
  /** All or nothing. */
  readonly atomic?: boolean;
  /** Lane of the observations that name none. */
  readonly lane?: Lane;
  /** The same through all repetitions, also of a later call: what is sent again within two minutes is stored once. Default: a random one. */
  readonly requestId?: string;
  /** For repetitions within a day; the cluster remembers its answer too, at the cost of two writes more. */
  readonly idempotencyKey?: string;
  /** How long the cluster may wait for `ack` before it answers with less. */
  readonly ackTimeoutMs?: number;
  /** JSON with embeddings in this form; by default the most compact body that says all that was given. */
  readonly encoding?: EmbeddingEncoding;
  /** Instead of the client's. */
  readonly retries?: number;
  /** Whether refused observations throw (default) or are only told in the result. */
  readonly onPartial?: 'throw' | 'return';
}

export interface PutResult {
  readonly accepted: number;
  readonly rejected: number;
  /** Token for `minPosition`; missing when nothing was accepted. */
  readonly position?: string;
  /** The level that was reached, which may be less than asked. */
  readonly ack?: AckLevel;
  readonly errors: readonly ItemError[];
  /** True when more were refused than `errors` lists. */
  readonly errorsTruncated: boolean;
}

export interface DeleteOptions extends CallOptions {
  readonly ack?: AckLevel;
  readonly ackTimeoutMs?: number;
}

export interface DeleteResult {
  readonly position: string;
  readonly ack: AckLevel;
}

export interface StoredObservation {
  readonly id: string;
  readonly embedding: Float32Array;
  readonly metadata?: Metadata;
  readonly timestamp?: number;
  /** Up to where its shard had applied the log. */
  readonly watermark: string;
}

export const RECALL_FIELDS = ['metadata', 'embedding', 'timestamp'] as const;
export type RecallField = (typeof RECALL_FIELDS)[number];

export interface RecallQuery {
  readonly embedding: readonly number[] | Float32Array;
  /** At most 1,000, or 10,000 in a stream. */
  readonly k: number;
  /** Breadth of the graph search; more is slower and finds more. */
  readonly ef?: number;
  /** Every observation is scored, and `ef` has no effect: what an answer is judged by. */
  readonly exact?: boolean;
  readonly filter?: Readonly<Record<string, unknown>>;
  /** Do not answer from an older state than this write's. */
  readonly minPosition?: string;
  /** See nothing newer than this position, such as the watermark of a recall before. */
  readonly asOf?: string;
  readonly waitMs?: number;
  readonly include?: readonly RecallField[];
}

export interface RecallHit {
  readonly id: string;
  readonly score: number;
  /** Present when several spaces were asked. */
  readonly space?: string;
  readonly metadata?: Metadata;
  readonly embedding?: Float32Array;
  readonly timestamp?: number;
}

export interface RecallResult {
  readonly results: readonly RecallHit[];
  readonly shards: {
    readonly asked: number;
    readonly answered: number;
    readonly ids: readonly string[];
  };
  readonly watermark: string;
  /** True when a shard did not answer and results may be missing. */
  readonly degraded: boolean;
  readonly tookMs: number;
}

/** What a streamed recall says at its end. */
export interface RecallEnd {
  readonly count: number;
  /** Of one space. */
  readonly watermark?: string;
  /** Of several spaces, by their names. */
  readonly watermarks?: Readonly<Record<string, string>>;
  /** True when a shard did not answer and results may be missing; `reasons` says why. */
  readonly degraded: boolean;
  readonly reasons: readonly string[];
  readonly tookMs: number;
}

export interface ClusterMember {
  readonly id: string;
  readonly role: string;
  readonly state?: string;
  readonly url?: string;
  readonly partitions?: number;
  readonly ready?: number;
  readonly lag?: number;
  /** Copies of each partition that its settings ask for. */
  readonly replication?: number;
  /** Of a shard, without the pages of mapped files. */
  readonly privateBytes?: number;
  /** Of a shard: normal, soft or hard, by the limit that its memory has reached. */
  readonly memory?: string;
  /** Of a shard: what keeps it from storing what it has, as a full disk does, and for how long. */
  readonly storageFault?: { readonly message: string; readonly forMs: number };
  readonly spaces?: number;
  readonly observations?: number;
  /** Of a shard: observations applied since its start, by lane. */
  readonly applied?: Readonly<Record<Lane, number>>;
  /** How far the clock of a shard is ahead of the gateway's. */
  readonly clockSkewMs?: number;
  /** False for a shard that did not answer in time. */
  readonly answers?: boolean;
  /** Of a shard, since its start. */
  readonly latency?: ShardLatency;
  /** Of a shard: how hard pressed each lane is. Absent while nothing is heard of it. */
  readonly pressure?: Readonly<Record<Lane, LanePressure>>;
}

/**
 * Counts of those that took at most so many seconds each, and of all, which is the last count: until what was
 * acknowledged was searchable, and of recalls in the shard.
 */
interface ShardLatency {
  readonly boundsS: readonly number[];
  readonly freshness: Readonly<Record<Lane, readonly number[]>>;
  readonly recall: readonly number[];
}

interface LanePressure {
  /** normal, warning, critical or overloaded. */
  readonly level: string;
  /** What it comes from: lag, memory, or stalled where entries wait and nobody works at them. */
  readonly cause: string;
  /** Observations that wait. */
  readonly waiting: number;
  /** How long it takes to apply them. */
  readonly lagMs: number;
  /** Observations applied a second while some wait. */
  readonly drainRate: number;
}

export interface ClusterPartition {
  readonly partition: number;
  /** The first of its owners. */
  readonly owner?: string;
  readonly owners?: readonly string[];
  readonly ready?: boolean;
  /** How many of the owners are ready. */
  readonly readyOwners?: number;
}

/** A version of the cluster may leave out members or add to them. */
export interface ClusterStatus {
  readonly cluster: string;
  /** Of the gateway's clock. */
  readonly time?: string;
  readonly epoch: number;
  readonly membershipAgeMs?: number;
  readonly nats?: {
    readonly connected: boolean;
    readonly version?: string;
    readonly logBytes?: number;
    readonly logBytesMax?: number;
  };
  readonly redis?: { readonly connected: boolean; readonly version?: string };
  readonly partitionCount: number;
  /** Copies of each partition, as far as there are shards for them. */
  readonly replication?: number;
  readonly members: readonly ClusterMember[];
  readonly partitions?: readonly ClusterPartition[];
  readonly degraded: boolean;
  /** Why it is degraded. */
  readonly reasons?: readonly string[];
  /** What the gateway which answers refused within a minute: of whom, and why; at most 20. */
  readonly limited?: readonly LimitedTenant[];
}

export interface LimitedTenant {
  /** Whose matter it is: space, caller, partition, gateway or cluster. */
  readonly scope: string;
  /** Of a space or a caller. */
  readonly name?: string;
  readonly cause: string;
  readonly refused: number;
  readonly since: string;
  readonly last: string;
}

export interface VerifyOptions extends CallOptions {
  /** The shard to ask; by default the one that recalls are asked of. */
  readonly shard?: string;
  /** How long the index may take to apply what the log has; default 30 000. */
  readonly waitMs?: number;
}

/** An id in which log and index differ: what each says, as the sequence of an entry. */
export interface VerifyDifference {
  readonly id: string;
  readonly expected?: number;
  readonly found?: number;
}

export interface VerifyResult {
  readonly space: string;
  readonly position: string;
  readonly basis: string;
  readonly counts: { readonly log: number; readonly index: number };
  /** In the log, not in the index; the first 100, as of the others. */
  readonly missing: readonly VerifyDifference[];
  /** In the index, not in the log. */
  readonly extra: readonly VerifyDifference[];
  /** In the index by another entry than the log has last. */
  readonly stale: readonly VerifyDifference[];
  readonly totals: {
    readonly missing: number;
    readonly extra: number;
    readonly stale: number;
  };
  /** Items of the log's entries that no shard takes. */
  readonly rejected: number;
  readonly entries: number;
  readonly shard: string;
  readonly tookMs: number;
  /** Whether every id was judged; `reasons` says why not. */
  readonly isExact: boolean;
  readonly reasons: readonly string[];
  /** Nothing differs. */
  readonly ok: boolean;
}

export interface RingMember {
  readonly id: string;
  readonly role: string;
  readonly state: string;
  readonly url: string;
  /** Copies of each partition that its settings ask for. */
  readonly replication: number;
  /** Of a shard: partitions that the ring gives to it, that it answers for, and that it has. */
  readonly owned?: number;
  readonly ready?: number;
  readonly held?: number;
  /** Entries of the log that it has still to read. */
  readonly lag?: number;
}

export interface RingPartition {
  readonly partition: number;
  /** As the ring has it, preferred one first. */
  readonly owners: readonly string[];
  /** Who answers for it now, of all shards. */
  readonly ready: readonly string[];
}

/** A partition that its new owner still reads from the log. */
export interface RingMove {
  readonly partition: number;
  /** Who gives it up afterwards; null where nobody does. */
  readonly from: string | null;
  readonly to: string;
  /** Of the log that is read, and milliseconds until all is; null while not known. */
  readonly percent: number | null;
  readonly leftMs: number | null;
}

export interface RingStatus {
  readonly cluster: string;
  readonly epoch: number;
  readonly partitionCount: number;
  /** Copies of each partition, as far as there are shards for them. */
  readonly replication: number;
  readonly members: readonly RingMember[];
  readonly partitions: readonly RingPartition[];
  readonly moves: readonly RingMove[];
}

/** RFC 9457 body of a refused request; every member may be missing when a proxy answered. */
export interface Problem {
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly code?: ErrorCode | (string & {});
  readonly errors?: readonly unknown[];
  readonly hint?: string;
  readonly retryable?: boolean;
  /** Of a refusal: whose fault it is, how long to wait, what would be taken. */
  readonly details?: unknown;
}
