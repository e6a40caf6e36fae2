import { jittered, refusalError } from '@engram/admission';
import type { Lane, PartitionId, SpaceId } from '@engram/model';
import type { Clock } from '@engram/runtime';
import { TRACEPARENT } from '@engram/tracing';
import type { LogConnection } from './connection.ts';
import { AFTER_HEADER } from './log-message.ts';
import { publishUntil, type Stored } from './publish-until.ts';
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
  /** The trace that it belongs to. */
  readonly traceparent?: string | undefined;
}

/** Frames under way are soon stored. */
const RETRY_MS = 250;
/** Entries of one request under way at one time: enough to hide the way to the log and back. */
const REQUEST_WIDTH = 16;

/** Puts entries into the log. An entry is accepted when its promise resolves. */
export class LogPublisher {
  readonly #connection: LogConnection;
  readonly #options: PublisherOptions;
  #inFlight = 0;

  constructor(connection: LogConnection, options: PublisherOptions) {
    this.#connection = connection;
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

  #publish({ partition, lane, space, ...entry }: LogEntry): Promise<Stored> {
    const { clock, timeoutMs, stripeCount } = this.#options;
    return publishUntil(this.#connection, {
      subject: observationSubject(partition, lane, space),
      bytes: entry.bytes,
      headers: {
        'Content-Type': entry.contentType,
        [AFTER_HEADER]: String(entry.afterSequence),
        ...(entry.traceparent !== undefined && { [TRACEPARENT]: entry.traceparent }),
      },
      messageId: entry.messageId,
      expect: { streamName: streamName(stripeOf(partition, stripeCount)) },
      timeoutMs,
      clock,
    });
  }
}
