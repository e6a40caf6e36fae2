// What waits in one lane, fair between those who sent it: deficit round robin (Shreedhar and Varghese,
// "Efficient Fair Queuing using Deficit Round Robin", 1996), in observations.
//
//   F1. What is of one key comes out as it went in.
//   F2. Who has few items waiting never waits for all that another has: of keys that wait for long each is
//       given the same number of observations, give or take a quantum and an item.
//   F3. A key that has nothing waiting is owed nothing, or it could save up for a burst.

import type { Queued } from './lane-queues.ts';

/** Observations that a key may take in its turn: a small batch, so that nobody waits long for a turn. */
export const QUANTUM = 64;

class Flow<T> {
  readonly key: string;
  #items: (Queued<T> | undefined)[] = [];
  #head = 0;
  /** Observations that it may take before it is the next one's turn. */
  credit = 0;

  constructor(key: string) {
    this.key = key;
  }

  get isEmpty(): boolean {
    return this.#head === this.#items.length;
  }

  get first(): Queued<T> {
    return this.#items[this.#head]!;
  }

  push(queued: Queued<T>): void {
    this.#items.push(queued);
  }

  shift(): Queued<T> {
    const queued = this.first;
    this.#items[this.#head++] = undefined;
    // The taken part is cut off when it is the larger half: amortised, a constant cost.
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return queued;
  }
}

export class FairQueue<T> {
  readonly #flows = new Map<string, Flow<T>>();
  /** Those that wait, in the order of their turns; of the ones before `#turn` the turn is over. */
  #round: Flow<T>[] = [];
  #turn = 0;
  length = 0;
  observations = 0;
  bytes = 0;

  /** The item that comes out next. */
  get first(): Queued<T> | undefined {
    return this.#next()?.first;
  }

  /** When the item that waits longest came. It looks at every key. */
  get oldestAtMs(): number | undefined {
    let oldest: number | undefined;
    for (const { first } of this.#flows.values())
      if (oldest === undefined || first.queuedAtMs < oldest) oldest = first.queuedAtMs;
    return oldest;
  }

  push(key: string, queued: Queued<T>): void {
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = new Flow(key);
      this.#flows.set(key, flow);
      this.#round.push(flow);
    }
    flow.push(queued);
    this.length++;
    this.observations += queued.cost.observations;
    this.bytes += queued.cost.bytes;
  }

  shift(): Queued<T> | undefined {
    const flow = this.#next();
    if (flow === undefined) return undefined;
    const queued = flow.shift();
    flow.credit -= priceOf(queued);
    this.length--;
    this.observations -= queued.cost.observations;
    this.bytes -= queued.cost.bytes;
    if (flow.isEmpty) {
      this.#flows.delete(flow.key); // F3
      this.#turn++;
    }
    return queued;
  }

  /** The flow whose turn it is, with enough credit for its first item (F2). */
  #next(): Flow<T> | undefined {
    const [only] = this.#flows.size === 1 ? this.#flows.values() : [];
    if (only !== undefined) {
      // Nobody else waits: no turns to count, however large the item is.
      this.#round = [only];
      this.#turn = 0;
      only.credit = Math.max(only.credit, priceOf(only.first));
      return only;
    }
    while (this.#flows.size > 0) {
      const flow = this.#round[this.#turn];
      if (flow === undefined) this.#beginRound();
      else if (flow.credit >= priceOf(flow.first)) return flow;
      else this.#turn++;
    }
    return undefined;
  }

  #beginRound(): void {
    this.#round = [...this.#flows.values()];
    this.#turn = 0;
    for (const flow of this.#round) flow.credit += QUANTUM;
  }
}

/** An item without observations takes its turn all the same. */
function priceOf({ cost }: Queued<unknown>): number {
  return Math.max(1, cost.observations);
}
