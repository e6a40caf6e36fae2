// What the server of a connection knows of its batches. Pure: no I/O, no clock.
//
//   I1. Batches are taken in the order of their numbers, each once: what is taken is `acked + 1` up to
//       `taken`, without a gap.
//   I2. Answers are cumulative: `acked` only rises, and never passes `taken`.
//   I3. Granted totals only rise. What was taken never is more than was granted.

import type { Credit } from './message.ts';

export type Offer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'duplicate'; readonly acked: number }
  | { readonly kind: 'gap'; readonly expected: number }
  | { readonly kind: 'over'; readonly granted: Credit; readonly asked: Credit };

interface Pending {
  readonly seq: number;
  /** Totals of the connection with this batch. */
  readonly items: number;
  readonly bytes: number;
}

const NOTHING: Credit = { items: 0, bytes: 0 };

export class Intake {
  #acked: number;
  #granted: Credit = NOTHING;
  /** Totals of what was answered. */
  #answered: Credit = NOTHING;
  readonly #pending: Pending[] = [];

  /** @param acked the batch after which the connection begins */
  constructor(acked: number) {
    this.#acked = acked;
  }

  get acked(): number {
    return this.#acked;
  }

  get granted(): Credit {
    return this.#granted;
  }

  /** Batches that are taken and not answered. */
  get pending(): number {
    return this.#pending.length;
  }

  offer(seq: number, items: number, bytes: number): Offer {
    const last = this.#pending.at(-1);
    const expected = (last?.seq ?? this.#acked) + 1;
    if (seq < expected) return { kind: 'duplicate', acked: this.#acked };
    if (seq > expected) return { kind: 'gap', expected };
    const used = last ?? this.#answered;
    const asked = { items: used.items + items, bytes: used.bytes + bytes };
    if (asked.items > this.#granted.items || asked.bytes > this.#granted.bytes)
      return { kind: 'over', granted: this.#granted, asked };
    this.#pending.push({ seq, ...asked });
    return { kind: 'taken' };
  }

  /** Answers everything up to a batch. @returns false when nothing is new */
  ack(upTo: number): boolean {
    if (upTo <= this.#acked) return false;
    const count = upTo - this.#acked;
    const last = this.#pending[count - 1];
    if (last === undefined) throw new RangeError(`batch ${upTo} was never taken`); // I2
    this.#pending.splice(0, count);
    this.#answered = { items: last.items, bytes: last.bytes };
    this.#acked = upTo;
    return true;
  }

  /**
   * Lets so much be unanswered at a time. A smaller window than before takes nothing back.
   * @returns whether the totals rose
   */
  open(window: Credit): boolean {
    const { items, bytes } = this.#granted;
    this.#granted = {
      items: Math.max(items, this.#answered.items + window.items),
      bytes: Math.max(bytes, this.#answered.bytes + window.bytes),
    };
    return this.#granted.items > items || this.#granted.bytes > bytes;
  }
}
