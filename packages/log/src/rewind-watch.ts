// Notices a log that went backwards: a nats-server whose machine lost power, or with a damaged block, comes
// back without the newest entries and gives their sequences to others.

import { backoffMs, type Clock, type Logger } from '@engram/runtime';
import type { LogConnection } from './connection.ts';
import { hasEntry } from './entry-mark.ts';
import type { EntryMark } from './log-ends.ts';

interface RewindWatchOptions {
  /** What was read of the log is not what it has now. */
  readonly onRewound: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

const AGAIN_FIRST_MS = 100;
const AGAIN_MAX_MS = 2_000;

export class RewindWatch implements AsyncDisposable {
  readonly #connection: LogConnection;
  readonly #options: RewindWatchOptions;
  readonly #unlisten: () => void;
  readonly #closing = new AbortController();
  #looking: Promise<void> = Promise.resolve();
  #looks = 0;

  constructor(connection: LogConnection, options: RewindWatchOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#unlisten = connection.onReconnect(() => {
      // As they are now: nothing has come over the new connection yet.
      const ends = connection.ends.copy();
      this.#looks++;
      this.#looking = this.#looking.then(() => this.#look(ends)).finally(() => this.#looks--);
    });
  }

  /** False after a reconnect, until it is known what the log still has. */
  get isSure(): boolean {
    return this.#looks === 0;
  }

  async close(): Promise<void> {
    this.#unlisten();
    this.#closing.abort();
    await this.#looking;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #look(ends: readonly (readonly [stream: string, end: EntryMark])[]): Promise<void> {
    const { logger, onRewound } = this.#options;
    for (const [stream, end] of ends) {
      if ((await this.#isThere(stream, end)) !== false) continue;
      logger.error({ stream, ...end }, 'the log lost its end: entries that were read are gone');
      this.#connection.ends.forget(stream);
      onRewound();
    }
  }

  /** @returns undefined when this was closed before it could be told */
  async #isThere(stream: string, end: EntryMark): Promise<boolean | undefined> {
    const { clock, logger } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++)
      try {
        return await hasEntry(this.#connection, stream, end);
      } catch (error) {
        logger.debug({ err: error, stream }, 'the log does not say yet whether it is whole');
        const pauseMs = backoffMs(attempt, AGAIN_FIRST_MS, AGAIN_MAX_MS, Math.random);
        await clock.sleep(pauseMs, signal).catch(() => undefined);
      }
    return undefined;
  }
}
