import { ClusterError } from '@engram/model';
import { SHAPES, type Shape } from './answers.ts';
import type { TransportRequest } from './transport.ts';
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

type Ask = <T>(
  shape: Shape,
  request: TransportRequest,
  signal: AbortSignal | undefined,
) => Promise<T>;

const PATH = '/v1/dead-letters';
/** In one request. */
const IDS_MAX = 500;

/** What can be done with the dead letters of a cluster. */
export class DeadLetterCalls {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Those that match, one page in memory at a time. */
  async *list(options: DeadLetterListOptions = {}): AsyncGenerator<DeadLetter, void> {
    const { order, pageSize, reason, space, signal } = options;
    let cursor: string | undefined;
    do {
      const query = { order, limit: pageSize, reason, space, cursor };
      const page = await this.#ask<{ deadLetters: DeadLetter[]; nextCursor?: string }>(
        SHAPES.deadLetters,
        { method: 'GET', path: PATH, query },
        signal,
      );
      yield* page.deadLetters;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /** @throws ClusterError DEAD_LETTER_NOT_FOUND */
  async get(id: string, { signal }: CallOptions = {}): Promise<DeadLetter> {
    return this.#ask(SHAPES.deadLetter, { method: 'GET', path: pathOf(id) }, signal);
  }

  /** The payload as it was published. @throws ClusterError DEAD_LETTER_NOT_FOUND */
  async payload(id: string, { signal }: CallOptions = {}): Promise<Uint8Array> {
    const path = `${pathOf(id)}/payload`;
    return this.#ask({}, { method: 'GET', path, wantsBytes: true }, signal);
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
        const result = await this.#ask<RedriveResult & { nextCursor?: string }>(
          SHAPES.redriven,
          { method: 'POST', path, body },
          signal,
        );
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
      const result = await this.#ask<PurgeResult & { nextCursor?: string }>(
        SHAPES.purged,
        { method: 'DELETE', path: PATH, query },
        signal,
      );
      purged += result.purged;
      cursor = result.nextCursor;
    } while (cursor !== undefined);
    return { purged };
  }

  async #purge(id: string, signal: AbortSignal | undefined): Promise<boolean> {
    try {
      const request: TransportRequest = { method: 'DELETE', path: pathOf(id) };
      return (await this.#ask<PurgeResult>(SHAPES.purged, request, signal)).purged > 0;
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
