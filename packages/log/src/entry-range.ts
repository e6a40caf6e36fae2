import { ClusterError } from '@engram/model';
import { Deadline } from '@engram/runtime';
import { BufferedFeed, type BufferedFeedOptions } from './buffered-feed.ts';
import type { LogConnection } from './connection.ts';
import type { LogMessage } from './log-message.ts';

export interface EntryRange extends Omit<BufferedFeedOptions, 'messagesMax' | 'bytesMax'> {
  readonly last: number;
  readonly signal: AbortSignal;
}

/** Read ahead of whoever takes them. */
const BOUNDS = { messagesMax: 1_024, bytesMax: 4 * 1024 * 1024 } as const;
const LOOK_MS = 20;
/** Nothing came and the end is not known: as long as the connection needs to notice a half-open one. */
const SILENT_MS = 15_000;

/**
 * The entries of one space in ascending sequence, each once, and none but those of the range.
 * @throws ClusterError LOG_UNAVAILABLE; the signal's reason
 */
export async function* readEntries(
  connection: LogConnection,
  { signal, ...range }: EntryRange,
): AsyncGenerator<LogMessage, void> {
  const { first, last, clock } = range;
  if (first > last) return;
  await using feed = BufferedFeed.start(connection, { ...range, ...BOUNDS });
  let silence = new Deadline(clock, SILENT_MS);
  for (;;) {
    for (let message = feed.take(); message !== undefined; message = feed.take()) {
      yield message;
      signal.throwIfAborted();
      silence = new Deadline(clock, SILENT_MS);
    }
    if (feed.isPast) return;
    feed.expect();
    const completeTo = await feed.completeTo();
    // What it counts as delivered stands in line by now.
    if (!feed.isEmpty) continue;
    if (completeTo !== undefined && completeTo >= last) return;
    if (silence.isOver)
      throw new ClusterError('LOG_UNAVAILABLE', 'the log does not give its entries');
    await feed.arrived(LOOK_MS, signal);
    signal.throwIfAborted();
  }
}
