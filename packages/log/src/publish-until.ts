import { logAway, refusalError } from '@engram/admission';
import { Deadline, type Clock } from '@engram/runtime';
import { headers, type JetStreamPublishOptions } from 'nats';
import type { LogConnection } from './connection.ts';
import { isTimeout, toPublishError } from './errors.ts';

export interface Publication {
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** The same id within the dedupe window is stored once. */
  readonly messageId: string;
  readonly expect?: JetStreamPublishOptions['expect'];
  /** Until when it must be acknowledged, retries included. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export interface Stored {
  readonly sequence: number;
  /** The entry was in the log before; nothing was added. */
  readonly isDuplicate: boolean;
}

const ATTEMPT_TIMEOUT_MS = 2_000;

/**
 * Stores one entry. A timed-out attempt may have been stored, so it is repeated under the same message id.
 * @throws ClusterError LOG_UNAVAILABLE, LOG_FULL
 */
export async function publishUntil(
  connection: LogConnection,
  { subject, bytes, messageId, expect, timeoutMs, clock, ...given }: Publication,
): Promise<Stored> {
  const head = headers();
  for (const [name, value] of Object.entries(given.headers)) head.set(name, value);
  const deadline = new Deadline(clock, timeoutMs);
  for (;;) {
    // The library would buffer without bound while it is disconnected.
    if (!connection.isConnected)
      throw refusalError(logAway('the log cannot be reached', Math.random));
    try {
      const ack = await connection.nc.jetstream().publish(subject, bytes, {
        msgID: messageId,
        timeout: Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, deadline.remainingMs)),
        headers: head,
        ...(expect === undefined ? {} : { expect }),
      });
      return { sequence: ack.seq, isDuplicate: ack.duplicate };
    } catch (error) {
      if (!isTimeout(error) || deadline.isOver) throw toPublishError(error);
    }
  }
}
