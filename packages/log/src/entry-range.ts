import type { PartitionId, SpaceId } from '@engram/model';
import { ClusterError } from '@engram/model';
import { Deadline, type Clock, type Logger } from '@engram/runtime';
import type { LogConnection } from './connection.ts';
import { LogFeed } from './feed.ts';
import type { LogMessage } from './log-message.ts';
import { spaceSubject, streamName } from './subjects.ts';

export interface EntryRange {
  readonly stripe: number;
  readonly partition: PartitionId;
  readonly space: SpaceId;
  /** Sequences of the log, both included. */
  readonly first: number;
  readonly last: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Read ahead of whoever takes them. */
const WAITING_MESSAGES_MAX = 1_024;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const LOOK_MS = 20;
/** Nothing came and the end is not known: as long as the connection needs to notice a half-open one. */
const SILENT_MS = 15_000;

/**
 * The entries of one space in ascending sequence, each once, and none but those of the range.
 * @throws ClusterError LOG_UNAVAILABLE; the signal's reason
 */
export async function* readEntries(
  connection: LogConnection,
  { stripe, partition, space, first, last, clock, logger, signal }: EntryRange,
): AsyncGenerator<LogMessage, void> {
  if (first > last) return;
  const waiting: LogMessage[] = [];
  let waitingBytes = 0;
  let isPast = false;
  let arrival = new AbortController();
  await using feed = LogFeed.start(connection, {
    stripe,
    stream: streamName(stripe),
    subjects: [spaceSubject(partition, space)],
    startSequence: first,
    // By space too, which a feed does not look at.
    filtered: 'always',
    clock,
    logger,
    room: () => ({
      messages: isPast ? 0 : WAITING_MESSAGES_MAX - waiting.length,
      bytes: WAITING_BYTES_MAX - waitingBytes,
    }),
    onMessage: (message) => {
      if (message.sequence > last) isPast = true;
      else {
        waiting.push(message);
        waitingBytes += message.bytes.length;
      }
      arrival.abort();
    },
  });
  let silence = new Deadline(clock, SILENT_MS);
  for (;;) {
    while (waiting.length > 0) {
      const message = waiting.shift()!;
      waitingBytes -= message.bytes.length;
      feed.pump();
      yield message;
      signal.throwIfAborted();
      silence = new Deadline(clock, SILENT_MS);
    }
    if (isPast) return;
    arrival = new AbortController();
    const progress = await feed.progress().catch(() => undefined);
    // What it counts as delivered stands in line by now.
    if (waiting.length > 0) continue;
    if (progress !== undefined && progress.completeTo >= last) return;
    if (silence.isOver)
      throw new ClusterError('LOG_UNAVAILABLE', 'the log does not give its entries');
    await clock.sleep(LOOK_MS, AbortSignal.any([signal, arrival.signal]));
    signal.throwIfAborted();
  }
}
