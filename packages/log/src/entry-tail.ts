import { BufferedFeed, type BufferedFeedOptions } from './buffered-feed.ts';
import type { LogConnection } from './connection.ts';
import type { LogMessage } from './log-message.ts';

export interface EntryTail extends Omit<BufferedFeedOptions, 'last' | 'messagesMax' | 'bytesMax'> {
  /** After so long without an entry `undefined` comes instead. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** Of one follower: two of the largest entries, so that the next is there when one was taken. */
const BOUNDS = { messagesMax: 256, bytesMax: 2.5 * 1024 * 1024 } as const;

/**
 * The entries of one space from a sequence on and as they come, without an end: through outages too.
 * @throws the signal's reason
 */
export async function* followEntries(
  connection: LogConnection,
  { idleMs, signal, ...tail }: EntryTail,
): AsyncGenerator<LogMessage | undefined, never> {
  await using feed = BufferedFeed.start(connection, { ...tail, ...BOUNDS });
  for (;;) {
    signal.throwIfAborted();
    feed.expect();
    const message = feed.take();
    if (message === undefined) await feed.arrived(idleMs, signal);
    if (message !== undefined || feed.isEmpty) yield message;
  }
}
