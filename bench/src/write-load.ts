import { inThread } from './thread.ts';

/** Batches to some spaces in turn, from a thread of its own. */
export interface WriteLoadOptions {
  readonly url: string;
  readonly spaces: readonly string[];
  /** Batch frames; each goes to each space, and again and again where there is time, so that ids are overwritten. */
  readonly bodies: readonly Uint8Array[];
  /** So many spaces are written at one time, the next ones when they have every body; default: all. */
  readonly spacesAtOnce?: number;
  /** Ends before its time when so many were sent; what was refused and is sent again is not counted. */
  readonly batchesMax?: number;
  readonly observationsPerBody: number;
  readonly lane: 'high' | 'normal' | 'low';
  readonly ack: 'logged' | 'searchable';
  readonly pace: Pace;
  readonly durationMs: number;
}

export type Pace =
  /** So many a second, whatever is answered; what would be more than `outstandingMax` is not sent. */
  | {
      readonly kind: 'open';
      readonly perSecond: number;
      readonly outstandingMax: number;
      /** By chance, as from many who know nothing of each other; default: evenly. */
      readonly arrivals?: 'poisson';
    }
  /** So many senders, each with its next batch as soon as it was answered. */
  | {
      readonly kind: 'closed';
      readonly senders: number;
      /**
       * How long they wait before they send again what was refused: the whole seconds of `Retry-After`, or
       * the milliseconds of the body, as the SDK does.
       */
      readonly obeys: 'seconds' | 'milliseconds';
    };

export interface WriteTally {
  readonly sent: number;
  readonly accepted: number;
  readonly acceptedObservations: number;
  /** By status: 429, 503, 507, and 0 for no answer. */
  readonly refused: Readonly<Record<string, number>>;
  /** By code and cause. */
  readonly causes: Readonly<Record<string, number>>;
  readonly refusedWithoutRetryAfter: number;
  /** Batches of an open loop that were due while too many were without an answer. */
  readonly notSent: number;
  readonly elapsedMs: number;
  /** Of those that were accepted, from when they were due. */
  readonly latenciesMs: readonly number[];
}

/** Runs the load to its end, or until there is enough of it. */
export function writeLoad(
  options: WriteLoadOptions,
  signal: AbortSignal,
  enough?: AbortSignal,
): Promise<WriteTally> {
  const url = new URL('./write-thread.js', import.meta.url);
  return inThread(url, options, signal, enough === undefined ? {} : { enough });
}
