// Sends rows in batches, several at a time.
//
// M1  Every row ends as accepted or as one rejection, unless the outcome says where it stopped.
// M2  The last row of an id wins: a batch with an id that is on its way waits until that is stored.
// M3  At most `concurrency` batches are on their way, so memory does not grow with the file.
// M4  A bad row never takes others with it: a batch that is refused as a whole is halved.

import { ClusterError, type AckLevel, type ErrorCode, type Lane } from '@engram/model';
import type { EngramClient, PutResult } from '@engram/client';
import type { GoodRow, Row } from './row.ts';

/** A batch of this much text fits every limit of the way; it is only reached by long vectors. */
const BATCH_TEXT_MAX = 4 << 20;
const INTERRUPT_GRACE_MS = 10_000;

export interface Rejection {
  readonly line: number;
  readonly id?: string;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly text: string;
}

/** What an import needs of the client. */
export type Writer = Pick<EngramClient, 'put'>;

export interface ImportOptions {
  readonly batch: number;
  readonly concurrency: number;
  readonly ack?: AckLevel | undefined;
  readonly lane?: Lane | undefined;
  /** Stops reading; what is on its way is finished. */
  readonly signal: AbortSignal;
  /** How long batches on their way may take after that; default 10 s. */
  readonly interruptGraceMs?: number;
  readonly onRejected: (rejection: Rejection) => Promise<void>;
  readonly onProgress?: (counts: { accepted: number; rejected: number }) => void;
}

export interface ImportOutcome {
  readonly accepted: number;
  readonly rejected: number;
  /** Of a late write; a recall with it as `minPosition` sees the end of the import. */
  readonly position: string | undefined;
  /** False when the cluster answered before the level that was asked for. */
  readonly ackReached: boolean;
  /** Set when the import did not come to its end: all lines up to this one are settled. */
  readonly stoppedAfterLine: number | undefined;
  /** Why it stopped; undefined after an interrupt. */
  readonly failure: unknown;
}

export class Importer {
  readonly #writer: Writer;
  readonly #space: string;
  readonly #options: ImportOptions;
  readonly #underway = new Set<Promise<void>>();
  readonly #ids = new Set<string>();
  readonly #hurry = new AbortController();
  #accepted = 0;
  #rejected = 0;
  #position: string | undefined;
  #ackReached = true;
  #sentLine = 0;
  #failure: { readonly error: unknown; readonly line: number } | undefined;

  constructor(writer: Writer, space: string, options: ImportOptions) {
    this.#writer = writer;
    this.#space = space;
    this.#options = options;
  }

  async run(rows: AsyncIterable<Row>): Promise<ImportOutcome> {
    const { signal, interruptGraceMs = INTERRUPT_GRACE_MS } = this.#options;
    let grace: NodeJS.Timeout | undefined;
    const interrupt = () => {
      grace = setTimeout(() => {
        this.#hurry.abort(new Error('the batches on their way were not answered in time'));
      }, interruptGraceMs);
    };
    signal.addEventListener('abort', interrupt, { once: true });
    try {
      await this.#readAll(rows);
    } catch (error) {
      // An interrupt closes the source under the reader; that is no failure.
      if (!signal.aborted) this.#fail(error, this.#sentLine + 1);
    } finally {
      await this.#allStored();
      signal.removeEventListener('abort', interrupt);
      clearTimeout(grace);
    }
    const stopped = signal.aborted || this.#failure !== undefined;
    return {
      accepted: this.#accepted,
      rejected: this.#rejected,
      position: this.#position,
      ackReached: this.#ackReached,
      stoppedAfterLine: stopped ? (this.#failure?.line ?? this.#sentLine + 1) - 1 : undefined,
      failure: this.#failure?.error,
    };
  }

  async #readAll(rows: AsyncIterable<Row>): Promise<void> {
    let batch: GoodRow[] = [];
    let text = 0;
    const flush = async () => {
      if (batch.length > 0) await this.#launch(batch);
      batch = [];
      text = 0;
    };
    for await (const row of rows) {
      if (this.#stopping) return;
      if ('fault' in row) {
        await this.#reject({ line: row.line, ...row.fault, text: row.text });
        continue;
      }
      if (this.#ids.has(row.observation.id)) {
        await flush();
        await this.#allStored();
      }
      this.#ids.add(row.observation.id);
      batch.push(row);
      text += row.text.length;
      if (batch.length >= this.#options.batch || text >= BATCH_TEXT_MAX) await flush();
    }
    if (!this.#stopping) await flush();
  }

  get #stopping(): boolean {
    return this.#options.signal.aborted || this.#failure !== undefined;
  }

  async #launch(batch: readonly GoodRow[]): Promise<void> {
    while (this.#underway.size >= this.#options.concurrency) await Promise.race(this.#underway);
    if (this.#stopping) return;
    this.#sentLine = batch.at(-1)?.line ?? this.#sentLine;
    const sending = this.#send(batch)
      .catch((error: unknown) => this.#fail(error, batch[0]?.line ?? 1))
      .finally(() => {
        this.#underway.delete(sending);
        for (const { observation } of batch) this.#ids.delete(observation.id);
      });
    this.#underway.add(sending);
  }

  async #allStored(): Promise<void> {
    while (this.#underway.size > 0) await Promise.all(this.#underway);
  }

  async #send(batch: readonly GoodRow[]): Promise<void> {
    const { ack, lane } = this.#options;
    let result: PutResult;
    try {
      result = await this.#writer.put(
        this.#space,
        batch.map(({ observation }) => observation),
        {
          onPartial: 'return',
          signal: this.#hurry.signal,
          ...(ack === undefined ? {} : { ack }),
          ...(lane === undefined ? {} : { lane }),
        },
      );
    } catch (error) {
      await this.#sendHalves(batch, error);
      return;
    }
    const refused = new Set<GoodRow>();
    for (const { index, code, detail } of result.errors) {
      const row = batch[index];
      if (row === undefined || refused.has(row)) continue;
      refused.add(row);
      await this.#rejectRow(row, code, detail);
    }
    if (result.rejected > refused.size && refused.size > 0) {
      // More were refused than the answer lists. Writing the others again changes nothing for
      // those that are stored, and lists the next ones.
      await this.#send(batch.filter((row) => !refused.has(row)));
      return;
    }
    this.#accepted += result.accepted;
    if (result.position !== undefined) this.#position = result.position;
    if (ack !== undefined && result.accepted > 0 && result.ack !== ack) this.#ackReached = false;
    this.#report();
  }

  /** M4 */
  async #sendHalves(batch: readonly GoodRow[], error: unknown): Promise<void> {
    if (!(error instanceof ClusterError) || !isAboutContent(error)) throw error;
    const [first] = batch;
    if (first !== undefined && batch.length === 1) {
      await this.#rejectRow(first, error.code, error.message);
      return;
    }
    const middle = batch.length >> 1;
    await this.#send(batch.slice(0, middle));
    await this.#send(batch.slice(middle));
  }

  #rejectRow(row: GoodRow, code: ErrorCode, detail: string): Promise<void> {
    const { id } = row.observation;
    const named = typeof id === 'string' ? { id } : {};
    return this.#reject({ line: row.line, ...named, code, detail, text: row.text });
  }

  async #reject(rejection: Rejection): Promise<void> {
    this.#rejected++;
    this.#report();
    await this.#options.onRejected(rejection);
  }

  #report(): void {
    this.#options.onProgress?.({ accepted: this.#accepted, rejected: this.#rejected });
  }

  #fail(error: unknown, line: number): void {
    if (this.#failure === undefined || line < this.#failure.line) this.#failure = { error, line };
  }
}

/** Whether a refusal of a whole batch may come from one of its rows. */
function isAboutContent({ code, status }: ClusterError): boolean {
  if (code === 'INVALID_SPACE_NAME' || code === 'INVALID_PARAMETER') return false;
  if (code === 'IDEMPOTENCY_KEY_REUSED') return false;
  return status === 400 || status === 413 || status === 422;
}
