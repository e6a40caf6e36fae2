// What the two sides of a session say to each other; STREAM.md shows each message.

import type { AckLevel, ErrorDetails, ItemError, Lane, SpaceId } from '@engram/model';

/** JSON in text messages, MessagePack in binary ones. A session has the format of its `open`. */
export type Format = 'json' | 'msgpack';

/** Totals since the connection began, so that one that comes twice or late changes nothing. */
export interface Credit {
  readonly items: number;
  /** Of whole batch messages, as they are sent. */
  readonly bytes: number;
}

/** Where a session goes on after its connection was lost. */
export interface Resume {
  readonly session: string;
  /** The last batch that was acknowledged to the client; 0 for none. */
  readonly acked: number;
}

export interface OpenMessage {
  readonly type: 'open';
  readonly space: SpaceId;
  readonly ack: AckLevel;
  /** How long a level above `logged` is waited for. */
  readonly ackTimeoutMs: number;
  readonly lane?: Lane;
  /** Batches are taken whole or not at all. */
  readonly atomic: boolean;
  readonly resume?: Resume;
}

export interface BatchMessage {
  readonly type: 'batch';
  /** From 1, each batch one more than the one before. */
  readonly seq: number;
  /** As the client wrote it: whoever writes it to the log judges it. */
  readonly observations: unknown;
}

export interface RecallMessage {
  readonly type: 'recall';
  /** Chosen by the client, for the answers. */
  readonly recall: string;
  /** The other fields, which are those of a recall over HTTP. */
  readonly query: Readonly<Record<string, unknown>>;
}

/** Holds the results of a recall back, lets them come again, or ends it. */
export interface RecallControl {
  readonly type: 'pause' | 'resume' | 'cancel';
  readonly recall: string;
}

export type ClientMessage = OpenMessage | BatchMessage | RecallMessage | RecallControl;

export interface OpenedMessage {
  readonly type: 'opened';
  readonly session: string;
  readonly space: SpaceId;
  readonly dimension: number;
  /** The next batch has the number after this. */
  readonly acked: number;
  readonly credit: Credit;
  readonly batchItemsMax: number;
  readonly messageBytesMax: number;
  readonly idleMs: number;
}

/** A batch that was not stored, or not all of it. */
export interface Refused {
  readonly seq: number;
  /** Observations that are not stored. */
  readonly rejected: number;
  readonly errors: readonly ItemError[];
  /** True when more were refused than `errors` lists. */
  readonly errorsTruncated: boolean;
  /** Why the batch as a whole was refused. */
  readonly problem?: WireProblem;
}

export interface AckMessage {
  readonly type: 'ack';
  /** This batch and all before it are answered. */
  readonly upTo: number;
  /** Covers all that this connection stored. */
  readonly position?: string;
  /** What was reached by all batches that this message answers. */
  readonly level: AckLevel;
  /** Those of the batches answered here that had faults. */
  readonly refused?: readonly Refused[];
  readonly credit: Credit;
}

/** The cluster is behind, so that credit grows more slowly. */
export interface SlowMessage {
  readonly type: 'slow';
  /** `lag`, `share` (of the space among others), `memory`, `stalled` or `backlog` (of the gateway). */
  readonly reason: string;
  readonly detail: string;
  /** Of the usual credit, from 0 to 1. */
  readonly share: number;
}

/** Nothing is taken at this moment; what was sent is kept and tried again. */
export interface PauseMessage {
  readonly type: 'pause';
  readonly reason: string;
  readonly problem: WireProblem;
  readonly retryAfterMs: number;
}

/** Neither slow nor paused any longer. */
interface ResumeMessage {
  readonly type: 'resume';
}

/** The gateway stops: nothing more is to be sent here; acknowledgements still come. */
interface GoawayMessage {
  readonly type: 'goaway';
  readonly reason: string;
  /** After which a new connection is to be made, or at once where there is another gateway. */
  readonly reconnectAfterMs: number;
}

interface ResultsMessage {
  readonly type: 'results';
  readonly recall: string;
  readonly results: readonly object[];
}

interface EndMessage {
  readonly type: 'end';
  readonly recall: string;
  readonly end: object;
}

/** The members of an RFC 9457 document that a message has. */
export interface WireProblem {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly retryable: boolean;
  readonly pointer?: string;
  readonly hint?: string;
  readonly details?: ErrorDetails;
}

interface ProblemMessage {
  readonly type: 'problem';
  readonly problem: WireProblem;
  /** The batch, or the recall, that it is about. */
  readonly seq?: number;
  readonly recall?: string;
}

export type ServerMessage =
  | OpenedMessage
  | AckMessage
  | SlowMessage
  | PauseMessage
  | ResumeMessage
  | GoawayMessage
  | ResultsMessage
  | EndMessage
  | ProblemMessage;
