import { ClusterError } from '@engram/model';
import type { TransportRequest, TransportResponse } from './transport.ts';
import type { CallOptions } from './types.ts';

/** An entry of the log that could not be applied, or not all of it. */
export interface DeadLetter {
  readonly id: string;
  readonly stripe: number;
  /** Of the entry in the log. */
  readonly sequence: number;
  /** Code of its first error. */
  readonly reason: string;
  readonly detail: string;
  readonly subject: string;
  readonly partition?: number;
  readonly lane?: string;
  readonly space?: string;
  readonly contentType?: string;
  /** Of the payload that is kept. */
  readonly bytes: number;
  /** Set where the payload was too large to be kept whole. */
  readonly cutTo?: number;
  /** The first of the refused items; `errorCount` counts all. */
  readonly errors: readonly { readonly index: number; readonly code: string }[];
  readonly errorCount: number;
  readonly writtenAt: string;
}

export interface DeadLetterFilter {
  readonly reason?: string;
  readonly space?: string;
}

/** Some by their ids, those that match, or every one. */
export type DeadLetterSelection =
  { readonly ids: readonly string[] } | DeadLetterFilter | { readonly all: true };

export interface DeadLetterListOptions extends CallOptions, DeadLetterFilter {
  /** Default `newest` first. */
  readonly order?: 'newest' | 'oldest';
  readonly pageSize?: number;
}

export interface RedriveResult {
  readonly redriven: number;
  readonly refused: readonly {
    readonly id: string;
    readonly code: string;
    readonly detail: string;
    readonly hint?: string;
  }[];
}

export interface PurgeResult {
  readonly purged: number;
}

type Call = (
  request: TransportRequest,
  signal: AbortSignal | undefined,
) => Promise<TransportResponse>;

const PATH = '/v1/dead-letters';
/** In one request. */
const IDS_MAX = 500;

/** What can be done with the dead letters of a cluster. */
export class DeadLetterCalls {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  /** Those that match, one page in memory at a time. */
  async *list(options: DeadLetterListOptions = {}): AsyncGenerator<DeadLetter, void> {
    const { order, pageSize, reason, space, signal } = options;
    let cursor: string | undefined;
    do {
      const query = { order, limit: pageSize, reason, space, cursor };
      const { body } = await this.#call({ method: 'GET', path: PATH, query }, signal);
      const page = body as { deadLetters: DeadLetter[]; nextCursor?: string };
      yield* page.deadLetters;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /** @throws ClusterError DEAD_LETTER_NOT_FOUND */
  async get(id: string, { signal }: CallOptions = {}): Promise<DeadLetter> {
    return (await this.#call({ method: 'GET', path: pathOf(id) }, signal)).body as DeadLetter;
  }

  /** The payload as it was published. @throws ClusterError DEAD_LETTER_NOT_FOUND */
  async payload(id: string, { signal }: CallOptions = {}): Promise<Uint8Array> {
    const path = `${pathOf(id)}/payload`;
    const { body } = await this.#call({ method: 'GET', path, wantsBytes: true }, signal);
    return body as Uint8Array;
  }

  /**
   * Puts payloads into the log again, those that stand there when it begins. They are written anew: what
   * was written since under the same ids is overwritten.
   * @throws ClusterError why, where one alone was asked for and is refused
   */
  async redrive(
    selection: DeadLetterSelection,
    { signal }: CallOptions = {},
  ): Promise<RedriveResult> {
    let redriven = 0;
    const refused: RedriveResult['refused'][number][] = [];
    for (const part of 'ids' in selection ? parts(selection.ids) : [selection]) {
      let cursor: string | undefined;
      do {
        const body = JSON.stringify({ ...part, cursor });
        const path = `${PATH}/redrive`;
        const response = await this.#call({ method: 'POST', path, body }, signal);
        const result = response.body as RedriveResult & { nextCursor?: string };
        redriven += result.redriven;
        refused.push(...result.refused);
        cursor = result.nextCursor;
      } while (cursor !== undefined);
    }
    return { redriven, refused };
  }

  /** Is done with dead letters for good; ids that name none are not counted. */
  async purge(selection: DeadLetterSelection, { signal }: CallOptions = {}): Promise<PurgeResult> {
    let purged = 0;
    if ('ids' in selection) {
      for (const id of selection.ids) if (await this.#purge(id, signal)) purged++;
      return { purged };
    }
    let cursor: string | undefined;
    do {
      const query = { ...selection, cursor };
      const { body } = await this.#call({ method: 'DELETE', path: PATH, query }, signal);
      const result = body as PurgeResult & { nextCursor?: string };
      purged += result.purged;
      cursor = result.nextCursor;
    } while (cursor !== undefined);
    return { purged };
  }

  async #purge(id: string, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      const { body } = await this.#call({ method: 'DELETE', path: pathOf(id) }, signal);
      return (body as PurgeResult).purged > 0;
    } catch (error) {
      if (error instanceof ClusterError && error.code === 'DEAD_LETTER_NOT_FOUND') return false;
      throw error;
    }
  }
}

function* parts(ids: readonly string[]): Generator<{ readonly ids: readonly string[] }> {
  for (let from = 0; from < ids.length; from += IDS_MAX)
    yield { ids: ids.slice(from, from + IDS_MAX) };
}

/** @throws ClusterError INVALID_PARAMETER for what a URL parser would resolve away */
function pathOf(id: string): string {
  if (/^[\w-]{1,64}$/.test(id)) return `${PATH}/${id}`;
  throw new ClusterError(
    'INVALID_PARAMETER',
    'the id of a dead letter is <stripe>-<sequence>, as 0-1234',
    { pointer: '#id' },
  );
}
