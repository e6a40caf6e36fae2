// Puts the batches of one session into the log, one after the other.
//
//   S1. A batch is begun when the one before is answered: the log has them in the order of their
//       numbers, whatever has to be tried again.
//   S2. What may be taken later is tried until it is; what is refused for good is answered, and the next
//       one goes on. Nothing is passed over in silence.
//   S3. The message id of an entry is made of the session, the number and the bytes: sent again after a
//       lost connection, here or to another gateway, the log stores it once.

import { readObservations } from '@engram/codec';
import { requestKey, type SpaceDirectory } from '@engram/log';
import { ClusterError, DEFAULT_LANE, type SpaceConfig } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import { problemOf, type OpenMessage, type Refused } from '@engram/session';
import { traced, type Span, type Tracing } from '@engram/tracing';
import type { Asker, Limits } from '../admission/limits.ts';
import type { WriteSlots } from '../admission/write-slots.ts';
import type { Principal } from '../auth/principal.ts';
import { findSpace } from '../http/find-space.ts';
import { LISTED_ERRORS_MAX } from '../http/problem.ts';
import type { Ingest, IngestResult } from '../ingest/ingest.ts';

export interface TakenBatch {
  readonly seq: number;
  readonly items: number;
  /** The message as it came. */
  readonly bytes: Uint8Array;
  readonly observations: unknown;
}

export interface Written {
  readonly seq: number;
  /** Of the space when it was written; undefined where nothing was. */
  readonly config: SpaceConfig | undefined;
  readonly position: string | undefined;
  readonly refused: Refused | undefined;
}

export interface WriterOptions {
  readonly session: string;
  readonly open: OpenMessage;
  readonly directory: Pick<SpaceDirectory, 'find' | 'list'>;
  readonly ingest: Pick<Ingest, 'put'>;
  readonly limits: Pick<Limits, 'enter'>;
  readonly slots: Pick<WriteSlots, 'enter'>;
  readonly asker: Asker;
  readonly principal: Principal;
  readonly tracing: Tracing;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends the waiting for a better time; what is under way is finished. */
  readonly signal: AbortSignal;
  readonly onWritten: (written: Written, batch: TakenBatch) => void;
  /** A batch has to wait, and why; called for each try. */
  readonly onPause: (error: ClusterError, retryAfterMs: number) => void;
  readonly onResume: () => void;
}

/** Where nobody says how long to wait. */
const RETRY_MS = 1_000;

export class SessionWriter {
  readonly #options: WriterOptions;
  readonly #queue: TakenBatch[] = [];
  #isRunning = false;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  get waiting(): readonly TakenBatch[] {
    return this.#queue;
  }

  add(batch: TakenBatch): void {
    this.#queue.push(batch);
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const { signal, onWritten } = this.#options;
    for (let batch = this.#queue[0]; batch !== undefined; batch = this.#queue[0]) {
      const written = await this.#write(batch);
      if (written === undefined || signal.aborted) break;
      this.#queue.shift();
      onWritten(written, batch);
    }
    this.#isRunning = false;
  }

  /** Undefined when the session ended before the batch was taken. */
  async #write(batch: TakenBatch): Promise<Written | undefined> {
    const { signal, clock, logger, onPause, onResume } = this.#options;
    for (let isPaused = false; !signal.aborted; isPaused = true) {
      try {
        const written = await this.#put(batch);
        if (isPaused) onResume();
        return written;
      } catch (thrown) {
        const error = ClusterError.from(thrown);
        if (error.retry === 'never') {
          if (error.status >= 500) logger.error({ err: thrown }, 'a batch failed');
          if (isPaused) onResume();
          return refusedWhole(batch, error);
        }
        const asked = error.details['retryAfterMs'];
        const retryAfterMs = typeof asked === 'number' ? asked : RETRY_MS;
        onPause(error, retryAfterMs);
        await clock.sleep(retryAfterMs, signal); // S2
      }
    }
    return undefined;
  }

  async #put(batch: TakenBatch): Promise<Written> {
    const { limits, slots, asker, open, tracing } = this.#options;
    const leaves = [limits.enter(asker, 'write')];
    try {
      leaves.push(slots.enter(open.space, open.lane ?? DEFAULT_LANE));
      const span = tracing.begin('STREAM put', undefined, { kind: 'server' });
      return await traced(span, () => this.#store(batch, span));
    } finally {
      for (const leave of leaves) leave();
    }
  }

  async #store(batch: TakenBatch, span: Span | undefined): Promise<Written> {
    const { directory, ingest, asker, principal, open, session } = this.#options;
    // Looked up anew: it may have been deleted, or made again, since the session began.
    const config = await findSpace(directory, principal, open.space, '/space');
    const { bytes, observations, seq } = batch;
    const result = await ingest.put({
      config,
      asker,
      kind: () => readObservations(observations),
      bytes,
      lane: open.lane,
      isAtomic: open.atomic,
      key: requestKey(config, `${session}\0${seq}`, bytes), // S3
      ack: { level: 'logged', timeoutMs: 0 },
      span,
    });
    return { seq, config, position: result.position, refused: refusedOf(seq, result) };
  }
}

function refusedOf(seq: number, result: IngestResult): Refused | undefined {
  const { errors, rejected, accepted } = result;
  if (rejected === 0) return undefined;
  return {
    seq,
    // Of an atomic batch with a fault nothing is stored.
    rejected: accepted === 0 ? result.total : rejected,
    errors: errors.slice(0, LISTED_ERRORS_MAX),
    errorsTruncated: errors.length > LISTED_ERRORS_MAX,
  };
}

function refusedWhole({ seq, items }: TakenBatch, error: ClusterError): Written {
  return {
    seq,
    config: undefined,
    position: undefined,
    refused: {
      seq,
      rejected: items,
      errors: [],
      errorsTruncated: false,
      problem: problemOf(error),
    },
  };
}
