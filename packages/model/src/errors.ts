// Every failure of the cluster that a caller can meet, in one table: the code is stable, it is the
// metric label, the RFC 9457 `code` member and the dead-letter reason.

/** What a caller may do about a failure. Every code has exactly one class. */
export type Retry = 'never' | 'same-owner' | 'after-reroute';

interface ErrorRow {
  readonly status: number;
  readonly retry: Retry;
  readonly title: string;
}

/** Code → HTTP status, retry class and title, together so that they cannot drift apart. */
export const ERRORS = {
  INVALID_JSON: { status: 400, retry: 'never', title: 'The body is not JSON' },
  INVALID_UTF8: { status: 400, retry: 'never', title: 'The body is not UTF-8' },
  INVALID_MSGPACK: { status: 400, retry: 'never', title: 'The body is not MessagePack' },
  INVALID_FRAME: { status: 400, retry: 'never', title: 'The batch frame is malformed' },
  INVALID_BODY: { status: 400, retry: 'never', title: 'The body has the wrong shape' },
  INVALID_PARAMETER: { status: 400, retry: 'never', title: 'A parameter is out of range' },
  INVALID_SPACE_NAME: { status: 400, retry: 'never', title: 'The space name is not allowed' },
  INVALID_SPACE_CONFIG: { status: 400, retry: 'never', title: 'The space options are not valid' },
  INVALID_ID: { status: 400, retry: 'never', title: 'The observation id is not allowed' },
  INVALID_EMBEDDING: { status: 400, retry: 'never', title: 'The embedding is not a vector' },
  DIMENSION_MISMATCH: { status: 400, retry: 'never', title: 'The embedding has the wrong length' },
  ZERO_EMBEDDING: { status: 400, retry: 'never', title: 'A zero vector has no direction' },
  INVALID_METADATA: { status: 400, retry: 'never', title: 'The metadata is not allowed' },
  INVALID_TIMESTAMP: { status: 400, retry: 'never', title: 'The timestamp is not valid' },
  INVALID_LANE: { status: 400, retry: 'never', title: 'The lane does not exist' },
  INVALID_FILTER: { status: 400, retry: 'never', title: 'The filter is not valid' },
  INVALID_POSITION: { status: 400, retry: 'never', title: 'The position is not valid here' },
  WRONG_PARTITION: { status: 400, retry: 'never', title: 'The subject names another partition' },
  DUPLICATE_ID: { status: 400, retry: 'never', title: 'The id stands twice in one batch' },
  EMPTY_BATCH: { status: 400, retry: 'never', title: 'The batch is empty' },
  BATCH_TOO_LARGE: { status: 413, retry: 'never', title: 'The batch has too many observations' },
  BODY_TOO_LARGE: { status: 413, retry: 'never', title: 'The body is too large' },
  OBSERVATION_TOO_LARGE: { status: 413, retry: 'never', title: 'The observation is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retry: 'never', title: 'The content type is not known' },
  UNAUTHENTICATED: { status: 401, retry: 'never', title: 'The caller is not known' },
  FORBIDDEN: { status: 403, retry: 'never', title: 'The caller may not do this' },
  ROUTE_NOT_FOUND: { status: 404, retry: 'never', title: 'There is no such route' },
  SPACE_NOT_FOUND: { status: 404, retry: 'never', title: 'There is no such space' },
  OBSERVATION_NOT_FOUND: { status: 404, retry: 'never', title: 'There is no such observation' },
  DEAD_LETTER_NOT_FOUND: { status: 404, retry: 'never', title: 'There is no such dead letter' },
  DEAD_LETTER_CUT: { status: 409, retry: 'never', title: 'The dead letter was not kept whole' },
  SPACE_DIFFERS: { status: 409, retry: 'never', title: 'The space exists with other options' },
  SPACE_DAMAGED: { status: 500, retry: 'never', title: 'The record of the space is damaged' },
  IDEMPOTENCY_KEY_REUSED: {
    status: 422,
    retry: 'never',
    title: 'The key was used for another body',
  },
  IDENTITY_UNAVAILABLE: {
    status: 503,
    retry: 'same-owner',
    title: 'The keys of tokens cannot be fetched',
  },
  NOTHING_ACCEPTED: { status: 422, retry: 'never', title: 'No observation was accepted' },
  UPGRADE_REQUIRED: { status: 426, retry: 'never', title: 'The route speaks WebSocket only' },
  SEQUENCE_GAP: { status: 409, retry: 'never', title: 'A batch before this one is missing' },
  SEQUENCE_DUPLICATE: { status: 409, retry: 'never', title: 'The batch was taken before' },
  SESSION_STATE: { status: 409, retry: 'never', title: 'The message does not fit the session' },
  SESSION_IDLE: { status: 408, retry: 'same-owner', title: 'The session was not used' },
  CREDIT_EXCEEDED: { status: 429, retry: 'never', title: 'More was sent than was granted' },
  BACKPRESSURE: { status: 429, retry: 'same-owner', title: 'The cluster asks for a slower pace' },
  RATE_LIMITED: {
    status: 429,
    retry: 'same-owner',
    title: 'A limit of the space or the caller is reached',
  },
  LOG_UNAVAILABLE: { status: 503, retry: 'same-owner', title: 'The log cannot be reached' },
  PARTITION_UNAVAILABLE: {
    status: 503,
    retry: 'after-reroute',
    title: 'No shard serves the space',
  },
  NOT_OWNER: { status: 503, retry: 'after-reroute', title: 'The shard does not serve the space' },
  POSITION_NOT_REACHED: {
    status: 503,
    retry: 'same-owner',
    title: 'The position is not applied yet',
  },
  POSITION_EXPIRED: { status: 410, retry: 'never', title: 'The snapshot is no longer kept' },
  CURSOR_EXPIRED: { status: 410, retry: 'never', title: 'The streamed recall was given up' },
  SEGMENT_DAMAGED: { status: 500, retry: 'after-reroute', title: 'A segment file is damaged' },
  CHECKPOINT_DAMAGED: { status: 500, retry: 'never', title: 'A checkpoint is damaged' },
  FENCED: { status: 409, retry: 'never', title: 'Another shard owns the partition' },
  MEMORY_LIMIT: { status: 503, retry: 'same-owner', title: 'The shard is out of memory' },
  WORKER_CRASHED: {
    status: 500,
    retry: 'never',
    title: 'The observation crashed its worker twice',
  },
  SHUTTING_DOWN: { status: 503, retry: 'after-reroute', title: 'The process is draining' },
  REQUEST_TIMEOUT: { status: 408, retry: 'same-owner', title: 'The request came too slowly' },
  ANSWER_TOO_LARGE: { status: 400, retry: 'never', title: 'The answer would be too large' },
  LOG_FULL: { status: 507, retry: 'same-owner', title: 'The log has no room' },
  MEMBER_ID_TAKEN: { status: 409, retry: 'never', title: 'Another process has this member id' },
  CLUSTER_DIFFERS: {
    status: 409,
    retry: 'never',
    title: 'The cluster was made with other settings',
  },
  INTERNAL: { status: 500, retry: 'never', title: 'Unexpected failure' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export type ErrorDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

interface ClusterErrorOptions {
  /** JSON pointer (RFC 6901) into the body, or the parameter's name behind `#`. */
  readonly pointer?: string;
  /** What the reader can do about it, as one sentence. */
  readonly hint?: string;
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/** The form in which an error crosses a thread or a socket; no stack crosses a process. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly pointer?: string;
  readonly hint?: string;
  readonly details: ErrorDetails;
}

/** The one error class of the cluster. Broken invariants are plain assertions instead. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError';
  readonly code: ErrorCode;
  readonly pointer: string | undefined;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: ClusterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.pointer = options.pointer;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retry(): Retry {
    return ERRORS[this.code].retry;
  }

  toJSON(): WireError {
    return {
      code: this.code,
      message: this.message,
      ...(this.pointer === undefined ? {} : { pointer: this.pointer }),
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      details: this.details,
    };
  }

  /** Rebuilds an error from its wire form; structured clone would have dropped code and class. */
  static fromWire(wire: WireError, cause?: Error): ClusterError {
    return new ClusterError(wire.code, wire.message, { ...wire, cause });
  }

  /** Total: anything thrown becomes a ClusterError, and the original is kept as its cause. */
  static from(value: unknown): ClusterError {
    if (value instanceof ClusterError) return value;
    return new ClusterError('INTERNAL', 'unexpected failure', { cause: value });
  }
}

/** One step of a JSON pointer (RFC 6901), from a name that a client chose: escaped, and cut short. */
export function pointerStep(name: string): string {
  return `/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** Why one observation of a batch was refused, while the rest of the batch went on. */
export interface ItemError {
  /** Place in the batch, from 0. */
  readonly index: number;
  /** Line of an NDJSON body, from 1. */
  readonly line?: number;
  readonly id?: string;
  readonly code: ErrorCode;
  readonly detail: string;
  /** JSON pointer into the body. */
  readonly pointer?: string;
}
