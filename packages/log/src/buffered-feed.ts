// The entries of one space, read ahead of whoever takes them one by one, within bounds.

import type { PartitionId, SpaceId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { LogConnection } from './connection.ts';
import { LogFeed } from './feed.ts';
import type { LogMessage } from './log-message.ts';
import { spaceSubject, streamName } from './subjects.ts';

export interface BufferedFeedOptions {
  readonly stripe: number;
  readonly partition: PartitionId;
  readonly space: SpaceId;
  /** Sequences of the log, both included; without `last` it never ends. */
  readonly first: number;
  readonly last?: number;
  /** Read ahead; bytes for two of the largest entries at least. */
  readonly messagesMax: number;
  readonly bytesMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class BufferedFeed implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #feed: LogFeed;
  readonly #waiting: LogMessage[] = [];
  #waitingBytes = 0;
  #isPast = false;
  #arrival = new AbortController();

  private constructor(connection: LogConnection, options: BufferedFeedOptions) {
    const { stripe, partition, space, first, last = Infinity, messagesMax, bytesMax } = options;
    this.#clock = options.clock;
    this.#feed = LogFeed.start(connection, {
      stripe,
      stream: streamName(stripe),
      subjects: [spaceSubject(partition, space)],
      startSequence: first,
      // By space too, which a feed does not look at.
      filtered: 'always',
      clock: options.clock,
      logger: options.logger,
      room: () => ({
        messages: this.#isPast ? 0 : messagesMax - this.#waiting.length,
        bytes: bytesMax - this.#waitingBytes,
      }),
      onMessage: (message) => {
        if (message.sequence > last) this.#isPast = true;
        else {
          this.#waiting.push(message);
          this.#waitingBytes += message.bytes.length;
        }
        this.#arrival.abort();
      },
    });
  }

  /** Never fails on an absent server: entries come when they can. */
  static start(connection: LogConnection, options: BufferedFeedOptions): BufferedFeed {
    return new BufferedFeed(connection, options);
  }

  /** An entry behind the last one wanted has come. */
  get isPast(): boolean {
    return this.#isPast;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The next entry, in ascending sequence; undefined while none waits. */
  take(): LogMessage | undefined {
    const message = this.#waiting.shift();
    if (message === undefined) return undefined;
    this.#waitingBytes -= message.bytes.length;
    this.#feed.pump();
    return message;
  }

  /** From here on `arrived` waits for what comes next. */
  expect(): void {
    this.#arrival = new AbortController();
  }

  /** Resolves when something came since `expect`, after the time, or when the signal aborts. */
  arrived(ms: number, signal: AbortSignal): Promise<void> {
    return this.#clock.sleep(ms, AbortSignal.any([signal, this.#arrival.signal]));
  }

  /** The sequence up to which everything has come; undefined while the server cannot tell. */
  async completeTo(): Promise<number | undefined> {
    return (await this.#feed.progress().catch(() => undefined))?.completeTo;
  }

  close(): Promise<void> {
    return this.#feed.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
