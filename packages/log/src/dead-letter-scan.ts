// Reads the headers of dead letters, a part of the stream at a time: payloads stay on the server.

import { AckPolicy, DeliverPolicy, nanos, type JetStreamManager } from 'nats';
import { ClusterError } from '@engram/model';
import type { LogConnection } from './connection.ts';
import { readDeadLetter, type DeadLetter } from './dead-letter-record.ts';
import { DEAD_LETTER_STREAM } from './streams.ts';

export interface Scanned {
  /** In the stream of dead letters. */
  readonly place: number;
  /** Undefined for one that is done with. */
  readonly letter: DeadLetter | undefined;
}

export type ScanOrder = 'oldest' | 'newest';

/** Messages asked for at once: some 100 KB of headers. */
const BATCH = 256;
const FETCH_EXPIRES_MS = 2_000;
/** Places that a step backwards covers; each step costs a consumer. */
const WINDOW_MIN = 256;
const WINDOW_MAX = 8_192;
const INACTIVE_THRESHOLD_MS = 10_000;

/** The places that the stream has at the moment; empty when `first` is behind `last`. */
export async function deadLetterPlaces(
  connection: LogConnection,
): Promise<{ readonly first: number; readonly last: number }> {
  const jsm = await manager(connection);
  const { first_seq: first, last_seq: last } = (await jsm.streams.info(DEAD_LETTER_STREAM)).state;
  return { first, last };
}

/** Every message from `first` to `last`, both included, in the order asked for. */
export async function* scanDeadLetters(
  connection: LogConnection,
  order: ScanOrder,
  { first, last }: { readonly first: number; readonly last: number },
): AsyncGenerator<Scanned, void> {
  if (order === 'oldest') {
    if (first <= last) yield* forward(connection, first, last);
    return;
  }
  let size = WINDOW_MIN;
  for (let to = last; to >= first; to -= size, size = Math.min(size * 2, WINDOW_MAX)) {
    const window: Scanned[] = [];
    for await (const each of forward(connection, Math.max(first, to - size + 1), to))
      window.push(each);
    yield* window.reverse();
  }
}

async function* forward(
  connection: LogConnection,
  first: number,
  last: number,
): AsyncGenerator<Scanned, void> {
  const jsm = await manager(connection);
  const { name, num_pending } = await jsm.consumers.add(DEAD_LETTER_STREAM, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: first,
    headers_only: true,
    inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
    mem_storage: true,
    num_replicas: 1,
  });
  try {
    const consumer = await connection.nc.jetstream().consumers.get(DEAD_LETTER_STREAM, name);
    let pending = num_pending;
    while (pending > 0) {
      const before = pending;
      const messages = await consumer.fetch({
        max_messages: Math.min(pending, BATCH, last - first + 1),
        expires: FETCH_EXPIRES_MS,
      });
      for await (const { seq, subject, headers, info } of messages) {
        pending = info.pending;
        if (seq > last) return;
        const bytes = Number(headers?.get('Nats-Msg-Size') ?? 0);
        const time = new Date(info.timestampNanos / 1e6);
        const letter = headers && readDeadLetter(subject, headers, bytes, time);
        yield { place: seq, letter };
      }
      if (pending < before) continue;
      // What was there a moment ago is done with by now, or the server fell silent.
      pending = (await consumer.info()).num_pending;
      if (pending >= before)
        throw new ClusterError('LOG_UNAVAILABLE', 'the dead letters are not given by the server');
    }
  } finally {
    // The server forgets it by itself, where this does not reach it.
    await jsm.consumers.delete(DEAD_LETTER_STREAM, name).catch(() => undefined);
  }
}

function manager(connection: LogConnection): Promise<JetStreamManager> {
  return connection.nc.jetstreamManager({ checkAPI: false });
}
