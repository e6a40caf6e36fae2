// What the client of a session knows of its batches, over all connections. Pure: no I/O, no clock.
//
//   O1. A batch keeps its number and its bytes until it is answered.
//   O2. On each connection everything that is not answered is sent again, in order, from the first on.
//   O3. Nothing is sent beyond the totals that the connection granted.

import type { Credit } from './message.ts';

export interface Outgoing<T> {
  readonly seq: number;
  readonly items: number;
  readonly bytes: number;
  readonly payload: T;
}

const NOTHING: Credit = { items: 0, bytes: 0 };

export class Outbox<T> {
  readonly #unanswered: Outgoing<T>[] = [];
  #acked = 0;
  /** Of the unanswered, how many were sent on this connection. */
  #sent = 0;
  #used = NOTHING;
  #granted = NOTHING;

  get acked(): number {
    return this.#acked;
  }

  /** The number of the batch that is added next. */
  get nextSeq(): number {
    return this.#acked + this.#unanswered.length + 1;
  }

  get unanswered(): readonly Outgoing<T>[] {
    return this.#unanswered;
  }

  /** Whether all that was added went out on this connection. */
  get isSent(): boolean {
    return this.#sent === this.#unanswered.length;
  }

  add(items: number, bytes: number, payload: T): Outgoing<T> {
    const outgoing = { seq: this.nextSeq, items, bytes, payload };
    this.#unanswered.push(outgoing); // O1
    return outgoing;
  }

  /** A connection began. */
  connected(credit: Credit): void {
    this.#sent = 0; // O2
    this.#used = NOTHING;
    this.#granted = credit;
  }

  grant({ items, bytes }: Credit): void {
    this.#granted = {
      items: Math.max(this.#granted.items, items),
      bytes: Math.max(this.#granted.bytes, bytes),
    };
  }

  /** The batch that may be sent now; it counts as sent. */
  take(): Outgoing<T> | undefined {
    const next = this.#unanswered[this.#sent];
    if (next === undefined) return undefined;
    const used = { items: this.#used.items + next.items, bytes: this.#used.bytes + next.bytes };
    if (used.items > this.#granted.items || used.bytes > this.#granted.bytes) return undefined; // O3
    this.#used = used;
    this.#sent++;
    return next;
  }

  /** Everything up to a batch is answered. @returns what is answered newly, in order */
  ack(upTo: number): readonly Outgoing<T>[] {
    const count = Math.min(Math.max(0, upTo - this.#acked), this.#unanswered.length);
    this.#acked += count;
    this.#sent = Math.max(0, this.#sent - count);
    return this.#unanswered.splice(0, count);
  }
}
