import type { Lane, PartitionId } from '@engram/model';
import { TRACEPARENT } from '@engram/tracing';
import type { Msg, MsgHdrs } from 'nats';

/** An entry of the log as it came. */
export interface LogMessage {
  readonly stripe: number;
  readonly sequence: number;
  readonly partition: PartitionId;
  readonly lane: Lane;
  /** As the publisher wrote it, unchecked. */
  readonly space: string;
  readonly subject: string;
  readonly contentType: string | undefined;
  /** The publisher knew the space as one that began behind this sequence; 0 where it did not tell. */
  readonly afterSequence: number;
  /** Owned by the receiver: a buffer of its own that may be transferred. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The trace that its publisher was in, as it wrote it. */
  readonly traceparent: string | undefined;
  /** When the log stored it, milliseconds since 1970. */
  readonly storedAtMs: number;
}

/** In the headers of an entry: where the space begins that it was meant for. */
export const AFTER_HEADER = 'Engram-After';

/** What the headers of an entry say; anybody may have written them. */
export function readHeaders(
  msg: Pick<Msg, 'headers'>,
): Pick<LogMessage, 'contentType' | 'afterSequence' | 'traceparent'> {
  const headers = headersOf(msg);
  const after = Number(headers?.get(AFTER_HEADER) ?? 0);
  return {
    contentType: headers?.get('Content-Type'),
    // A header that is not there is an empty text.
    traceparent: headers?.get(TRACEPARENT) || undefined,
    afterSequence: Number.isSafeInteger(after) && after > 0 ? after : 0,
  };
}

/**
 * The library reads them when they are asked for, and throws at what the server let in, as a line break in a
 * value; thrown here it would end the connection. Such headers say nothing, and the payload is judged alone.
 */
export function headersOf(msg: Pick<Msg, 'headers'>): MsgHdrs | undefined {
  try {
    return msg.headers;
  } catch {
    return undefined;
  }
}
