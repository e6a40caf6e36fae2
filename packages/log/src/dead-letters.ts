import type { ItemError } from '@engram/model';
import { headers } from 'nats';
import type { LogConnection } from './connection.ts';
import type { LogMessage } from './log-message.ts';
import { isWrongLastSequence } from './errors.ts';
import { DEAD_LETTER_STREAM } from './streams.ts';

const ERRORS_MAX = 100;
/** What the headers below can take at most. */
const HEADER_BYTES_MAX = 8 * 1024;

/** A header's value may have no line break; what a publisher sent may have. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 512);
}

/**
 * Keeps a message that could not be applied, whole, with the reason for each refused item. There is
 * one dead letter for each entry of the log: a replay that meets the entry again adds none.
 * @returns false when it was there before
 */
export async function writeDeadLetter(
  connection: LogConnection,
  message: Pick<LogMessage, 'stripe' | 'sequence' | 'subject' | 'contentType'>,
  bytes: Uint8Array,
  errors: readonly ItemError[],
): Promise<boolean> {
  const first = errors[0];
  const head = headers();
  head.set('Engram-Reason', first?.code ?? 'INTERNAL');
  head.set('Engram-Detail', headerText(first?.detail ?? ''));
  head.set('Engram-Subject', headerText(message.subject));
  head.set('Engram-Sequence', String(message.sequence));
  head.set(
    'Engram-Errors',
    headerText(JSON.stringify(errors.slice(0, ERRORS_MAX).map(({ index, code }) => [index, code]))),
  );
  head.set('Engram-Error-Count', String(errors.length));
  if (message.contentType !== undefined) head.set('Content-Type', headerText(message.contentType));
  // An entry from before the limit of the streams may leave no room for the headers.
  const bytesMax = (connection.nc.info?.max_payload ?? 1024 * 1024) - HEADER_BYTES_MAX;
  if (bytes.length > bytesMax) head.set('Engram-Cut-To', String(bytesMax));
  const subject = `dlq.${message.stripe}.${message.sequence}`;
  try {
    await connection.nc.jetstream().publish(subject, bytes.subarray(0, bytesMax), {
      headers: head,
      expect: { streamName: DEAD_LETTER_STREAM, lastSubjectSequence: 0 },
      timeout: 5_000,
    });
    return true;
  } catch (error) {
    if (isWrongLastSequence(error)) return false;
    throw error;
  }
}
