// Streamed recalls that are not at their end: their pages are read as they are asked for.
//
//   C1. A thread has at most CURSORS_MAX; the one that was not asked for the longest time makes room.
//   C2. One that nobody asks for IDLE_MS is given up, so a client that went away holds nothing for long;
//       sooner when memory is short.
//   C3. A space with one counts as in use. It is let go once, however the stream ends.
//   C4. A page is answered without a cursor only when it is the last: a stream never just stops.

import { ClusterError, type SpaceId } from '@engram/model';
import type { PageAnswer, RecallAnswer } from '../protocol.ts';
import type { LoadedSpace } from './space-table.ts';

/** Each may hold a page, and keep segments from being closed. */
const CURSORS_MAX = 64;
const IDLE_MS = 30_000;
const IDLE_MS_WHEN_SHORT = 3_000;
/** Numbers of one thread; its successor has others, and so takes no old cursor for one of its own. */
const NUMBERS_A_THREAD = 2 ** 32;

type Pages = AsyncGenerator<RecallAnswer, undefined>;
type CursorSpace = Pick<LoadedSpace, 'usedAtMs' | 'users'> & {
  readonly config: { readonly space: SpaceId };
};

interface Cursor {
  readonly space: CursorSpace;
  readonly pages: Pages;
  /** Read already: so that the last page is known to be the last. */
  ahead: RecallAnswer | undefined;
  isReading: boolean;
  /** The first look that found it waiting. */
  idleSinceMs: number | undefined;
}

export class Cursors {
  /** The one that was asked last is the last. */
  readonly #cursors = new Map<number, Cursor>();
  #nextNumber: number;

  constructor(incarnation: number) {
    this.#nextNumber = incarnation * NUMBERS_A_THREAD;
  }

  get count(): number {
    return this.#cursors.size;
  }

  /** The first page. The pages are ended by this table, whatever happens. */
  async open(space: CursorSpace, pages: Pages): Promise<PageAnswer> {
    const number = this.#nextNumber++;
    const cursor: Cursor = {
      space,
      pages,
      ahead: undefined,
      isReading: false,
      idleSinceMs: undefined,
    };
    this.#cursors.set(number, cursor);
    space.users++;
    const [oldest] = this.#cursors.keys();
    if (this.#cursors.size > CURSORS_MAX) this.#end(oldest!); // C1
    return this.#read(number, cursor);
  }

  /** @throws ClusterError CURSOR_EXPIRED */
  async next(space: SpaceId, number: number): Promise<PageAnswer> {
    const cursor = this.#cursors.get(number);
    if (cursor === undefined || cursor.isReading || cursor.space.config.space !== space)
      throw expired();
    this.#cursors.delete(number);
    this.#cursors.set(number, cursor);
    return this.#read(number, cursor);
  }

  /** Its next page is not wanted yet, but will be. */
  keep(space: SpaceId, number: number): void {
    const cursor = this.#cursors.get(number);
    if (cursor?.space.config.space !== space) return;
    cursor.idleSinceMs = undefined;
    this.#cursors.delete(number);
    this.#cursors.set(number, cursor);
  }

  close(space: SpaceId, number: number): void {
    if (this.#cursors.get(number)?.space.config.space === space) this.#end(number);
  }

  /** The space is deleted, and nothing of it is to be given any more. */
  closeAll(space: SpaceId): void {
    for (const number of [...this.#cursors.keys()]) this.close(space, number);
  }

  /** To be called now and then. */
  tick(nowMs: number, isShort: boolean): void {
    const idleMs = isShort ? IDLE_MS_WHEN_SHORT : IDLE_MS;
    for (const [number, cursor] of [...this.#cursors])
      if (cursor.isReading) cursor.idleSinceMs = undefined;
      else if (nowMs - (cursor.idleSinceMs ??= nowMs) >= idleMs) this.#end(number); // C2
  }

  async #read(number: number, cursor: Cursor): Promise<PageAnswer> {
    cursor.isReading = true;
    cursor.idleSinceMs = undefined;
    cursor.space.usedAtMs = performance.now();
    try {
      const hits = cursor.ahead ?? (await cursor.pages.next()).value ?? [];
      cursor.ahead = (await cursor.pages.next()).value;
      // Pages that were ended meanwhile look like the last ones.
      if (this.#cursors.get(number) !== cursor) throw expired(); // C4
      if (cursor.ahead !== undefined) return { hits, cursor: number };
      this.#end(number);
      return { hits };
    } catch (error) {
      this.#end(number);
      throw error;
    } finally {
      cursor.isReading = false;
    }
  }

  #end(number: number): void {
    const cursor = this.#cursors.get(number);
    if (cursor === undefined) return;
    this.#cursors.delete(number);
    cursor.space.users--; // C3
    void cursor.pages.return(undefined);
  }
}

function expired(): ClusterError {
  return new ClusterError('CURSOR_EXPIRED', 'the shard does not go on with this recall', {
    hint: `ask again; a stream is given up when nothing is read for ${IDLE_MS / 1000} s, the space is deleted, too many are open or their thread ends`,
  });
}
