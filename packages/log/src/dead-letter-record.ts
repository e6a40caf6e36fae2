import { ClusterError, type Lane, type PartitionId } from '@engram/model';
import { parseSubject } from './subjects.ts';

/** An entry of the log that could not be applied, or not all of it. */
export interface DeadLetter {
  /** `<stripe>-<sequence>` of the entry in the log. */
  readonly id: string;
  readonly stripe: number;
  readonly sequence: number;
  /** Code of the first error. */
  readonly reason: string;
  readonly detail: string;
  /** As it was published; what is not printable ASCII stands as `?`. */
  readonly subject: string;
  /** What the subject says, where it has the form of one of the log's. */
  readonly partition?: PartitionId;
  readonly lane?: Lane;
  readonly space?: string;
  readonly contentType?: string;
  /** Of the payload that is kept. */
  readonly bytes: number;
  /** The payload was too large to be kept whole: only so many bytes are. */
  readonly cutTo?: number;
  /** Refused items by their place, the first of them; `errorCount` counts all. */
  readonly errors: { readonly index: number; readonly code: string }[];
  readonly errorCount: number;
  /** When it was set aside, as ISO 8601. */
  readonly writtenAt: string;
}

/** What the headers of a message give; '' where there is none, as the library has it. */
export interface Headers {
  get(name: string): string;
}

/** Marks what takes the place of a dead letter that is done with: `purged` or `redriven`. */
export const SETTLED_HEADER = 'Engram-Settled';

const ID = /^(0|[1-9]\d{0,3})-([1-9]\d{0,15})$/;
const SUBJECT = /^dlq\.(\d{1,4})\.(\d{1,16})$/;
/** The header may have been cut in the middle of the list. */
const ERROR = /\[(\d+),"([A-Z0-9_]+)"\]/g;

/**
 * The place in the log that an id names.
 * @throws ClusterError INVALID_PARAMETER
 */
export function parseDeadLetterId(
  id: unknown,
  pointer = '#id',
): { readonly stripe: number; readonly sequence: number } {
  const match = typeof id === 'string' ? ID.exec(id) : null;
  const [stripe, sequence] = match?.slice(1).map(Number) ?? [];
  if (stripe === undefined || sequence === undefined || !Number.isSafeInteger(sequence))
    throw new ClusterError(
      'INVALID_PARAMETER',
      'the id of a dead letter is <stripe>-<sequence>, as 0-1234',
      { pointer },
    );
  return { stripe, sequence };
}

/** What is said of an id that names none, and of one that the asker may not know of. */
export function deadLetterNotFound(id: string): ClusterError {
  return new ClusterError('DEAD_LETTER_NOT_FOUND', `there is no dead letter ${id}`, {
    pointer: '#id',
    hint: 'it was redriven or purged, or is older than dead letters are kept',
  });
}

/**
 * The dead letter in a message of the stream; undefined when it is done with.
 * @param bytes of the message's payload
 */
export function readDeadLetter(
  subject: string,
  headers: Headers,
  bytes: number,
  time: Date,
): DeadLetter | undefined {
  const [stripe, sequence] = SUBJECT.exec(subject)?.slice(1).map(Number) ?? [];
  if (stripe === undefined || sequence === undefined) return undefined;
  if (headers.get(SETTLED_HEADER) !== '') return undefined;
  const original = headers.get('Engram-Subject');
  const contentType = headers.get('Content-Type');
  const cutTo = headers.get('Engram-Cut-To');
  return {
    id: `${stripe}-${sequence}`,
    stripe,
    sequence,
    reason: headers.get('Engram-Reason'),
    detail: headers.get('Engram-Detail'),
    subject: original,
    ...parseSubject(original),
    ...(contentType === '' ? {} : { contentType }),
    bytes,
    ...(cutTo === '' ? {} : { cutTo: Number(cutTo) }),
    errors: Array.from(headers.get('Engram-Errors').matchAll(ERROR), ([, index, code]) => ({
      index: Number(index),
      code: code!,
    })),
    errorCount: Number(headers.get('Engram-Error-Count')),
    writtenAt: time.toISOString(),
  };
}
