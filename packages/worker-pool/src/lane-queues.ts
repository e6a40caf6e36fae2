// First-in-first-out queues by priority.
//
//   L1. The highest lane that waits goes first, but of what is taken while a lower lane waits, that lane
//       gets its share: no flood of high ones starves the others for ever.
//   L2. Taking and adding cost the same however long the queues are.

import { LANES, perLane, type Lane } from '@engram/model';

export interface Cost {
  readonly observations: number;
  readonly bytes: number;
}

export interface Queued<T> {
  readonly lane: Lane;
  readonly item: T;
  readonly cost: Cost;
  readonly queuedAtMs: number;
}

/** A lower lane that waits gets one observation for so many of the lanes above it. */
export const OBSERVATIONS_A_SHARE = 16;

class Queue<T> {
  #items: (Queued<T> | undefined)[] = [];
  #head = 0;
  observations = 0;
  bytes = 0;
  /** Observations that lanes above took while this one waited. */
  overtaken = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  get first(): Queued<T> | undefined {
    return this.#items[this.#head];
  }

  push(queued: Queued<T>): void {
    this.#items.push(queued);
    this.observations += queued.cost.observations;
    this.bytes += queued.cost.bytes;
  }

  shift(): Queued<T> {
    const queued = this.#items[this.#head]!;
    this.#items[this.#head++] = undefined;
    // The taken part is cut off when it is the larger half: amortised, a constant cost (L2).
    if (this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    this.observations -= queued.cost.observations;
    this.bytes -= queued.cost.bytes;
    return queued;
  }
}

export class LaneQueues<T> {
  readonly #queues = perLane(() => new Queue<T>());

  get size(): number {
    return LANES.reduce((sum, lane) => sum + this.#queues[lane].length, 0);
  }

  get observations(): number {
    return LANES.reduce((sum, lane) => sum + this.#queues[lane].observations, 0);
  }

  push(lane: Lane, item: T, cost: Cost, nowMs: number): void {
    this.#queues[lane].push({ lane, item, cost, queuedAtMs: nowMs });
  }

  /** The next item (L1). */
  take(): Queued<T> | undefined {
    const waiting = LANES.filter((lane) => this.#queues[lane].length > 0);
    const highest = waiting[0];
    if (highest === undefined) return undefined;
    const lane = waiting.slice(1).find((lower) => this.#isDue(lower)) ?? highest;
    const taken = this.#queues[lane].shift();
    const { observations } = taken.cost;
    for (const other of waiting)
      if (LANES.indexOf(other) > LANES.indexOf(lane)) this.#queues[other].overtaken += observations;
    const own = this.#queues[lane];
    // What it got out of turn it pays back; an empty lane is owed nothing.
    own.overtaken = own.length === 0 ? 0 : Math.max(0, own.overtaken - priceOf(taken.cost));
    return taken;
  }

  /** So many were preferred to its first item that the item's turn has come. */
  #isDue(lane: Lane): boolean {
    const { first, overtaken } = this.#queues[lane];
    return overtaken >= priceOf(first!.cost);
  }

  depth(lane: Lane): { readonly items: number } & Cost {
    const { length: items, observations, bytes } = this.#queues[lane];
    return { items, observations, bytes };
  }

  /** When the item that waits longest came, undefined where none waits. */
  oldestAtMs(lane: Lane): number | undefined {
    return this.#queues[lane].first?.queuedAtMs;
  }
}

/** What must be preferred to an item before its turn comes; one without observations is no gift. */
function priceOf({ observations }: Cost): number {
  return Math.max(1, observations) * OBSERVATIONS_A_SHARE;
}
