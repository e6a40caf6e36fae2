import { jittered, logAway, refusalError } from '@engram/admission';
import type { Lane, PartitionId, SpaceId } from '@engram/model';
import { Deadline, type Clock } from '@engram/runtime';
import { headers, type JetStreamClient } from 'nats';
import type { LogConnection } from './connection.ts';
import { isTimeout, toPublishError } from './errors.ts';
import { AFTER_HEADER } from './log-message.ts';
import { observationSubject, streamName, stripeOf } from './subjects.ts';

export interface PublisherOptions {
  readonly stripeCount: number;
  /** From so many frames without acknowledgement on, further requests are refused, not buffered. */
  readonly inFlightMax: number;
  /** Until when a frame must be acknowledged, retries included. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export interface LogEntry {
  readonly space: SpaceId;
  /** Of the space as the publisher knows it. */
  readonly afterSequence: number;
  readonly partition: PartitionId;
  readonly lane: Lane;
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** The same id within the dedupe window is stored once. */
  readonly messageId: string;
}

export interface Stored {
  readonly sequence: number;
  /** The entry was in the log before; nothing was added. */
  readonly isDuplicate: boolean;
}

/** Frames under way are soon stored. */
const RETRY_MS = 250;
const ATTEMPT_TIMEOUT_MS = 2_000;
/** Entries of one request under way at one time: enough to hide the way to the log and back. */
const REQUEST_WIDTH = 16;

/** Puts entries into the log. An entry is accepted when its promise resolves. */
export class LogPublisher {
  readonly #connection: LogConnection;
  readonly #js: JetStreamClient;
  readonly #options: PublisherOptions;
  #inFlight = 0;

  constructor(connection: LogConnection, options: PublisherOptions) {
    this.#connection = connection;
    this.#js = connection.nc.jetstream();
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Stores the entries of one request, some at a time. Whether there is room is asked once, before the
   * first of them, so that a request is never refused half-way. A timed-out attempt may have been
   * stored, so it is repeated under the same message id.
   * @param isDelete deletes are small and free what is short: they are taken however many wait
   * @throws ClusterError LOG_UNAVAILABLE, LOG_FULL, BACKPRESSURE; some entries may be stored then
   */
  async publish(
    entries: readonly LogEntry[],
    { isDelete = false }: { readonly isDelete?: boolean } = {},
  ): Promise<Stored[]> {
    if (!isDelete && this.#inFlight >= this.#options.inFlightMax)
      throw refusalError({
        code: 'BACKPRESSURE',
        scope: 'gateway',
        cause: 'publishes',
        detail: `${this.#inFlight} frames of this gateway wait for the log, as many as may`,
        retryAfterMs: jittered(RETRY_MS, Math.random),
        waitHelps: true,
      });
    const stored: Stored[] = [];
    let next = 0;
    let hasFailed = false;
    const one = async () => {
      while (next < entries.length && !hasFailed) {
        const index = next++;
        this.#inFlight++;
        try {
          stored[index] = await this.#publish(entries[index]!);
        } catch (error) {
          hasFailed = true;
          throw error;
        } finally {
          this.#inFlight--;
        }
      }
    };
    const width = Math.min(entries.length, REQUEST_WIDTH);
    const outcomes = await Promise.allSettled(Array.from({ length: width }, one));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    return stored;
  }

  async #publish(entry: LogEntry): Promise<Stored> {
    const { clock, timeoutMs, stripeCount } = this.#options;
    const subject = observationSubject(entry.partition, entry.lane, entry.space);
    const expect = { streamName: streamName(stripeOf(entry.partition, stripeCount)) };
    const head = headers();
    head.set('Content-Type', entry.contentType);
    head.set(AFTER_HEADER, String(entry.afterSequence));
    const deadline = new Deadline(clock, timeoutMs);
    for (;;) {
      // The library would buffer without bound while it is disconnected.
      if (!this.#connection.isConnected)
        throw refusalError(logAway('the log cannot be reached', Math.random));
      try {
        const ack = await this.#js.publish(subject, entry.bytes, {
          msgID: entry.messageId,
          timeout: Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, deadline.remainingMs)),
          headers: head,
          expect,
        });
        return { sequence: ack.seq, isDuplicate: ack.duplicate };
      } catch (error) {
        if (!isTimeout(error) || deadline.isOver) throw toPublishError(error);
      }
    }
  }
}
