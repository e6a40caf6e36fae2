// Queues by priority, each fair between the keys of its items.
//
//   L1. The highest lane that waits goes first, but of what is taken while a lower lane waits, that lane
//       gets its share: no flood of high ones starves the others for ever.
//   L2. Taking and adding cost the same however long the queues are.

import { LANES, perLane, type Lane } from '@engram/model';
import { FairQueue } from './fair-queue.ts';

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

class LaneQueue<T> extends FairQueue<T> {
  /** Observations that lanes above took while this one waited. */
  overtaken = 0;
}

export class LaneQueues<T> {
  readonly #queues = perLane(() => new LaneQueue<T>());

  get size(): number {
    return LANES.reduce((sum, lane) => sum + this.#queues[lane].length, 0);
  }

  get observations(): number {
    return LANES.reduce((sum, lane) => sum + this.#queues[lane].observations, 0);
  }

  /** @param key of whoever shares the lane with the others */
  push(lane: Lane, key: string, item: T, cost: Cost, nowMs: number): void {
    this.#queues[lane].push(key, { lane, item, cost, queuedAtMs: nowMs });
  }

  /** The next item (L1). */
  take(): Queued<T> | undefined {
    const waiting = LANES.filter((lane) => this.#queues[lane].length > 0);
    const highest = waiting[0];
    if (highest === undefined) return undefined;
    const lane = waiting.slice(1).find((lower) => this.#isDue(lower)) ?? highest;
    const taken = this.#queues[lane].shift()!;
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
    return this.#queues[lane].oldestAtMs;
  }
}

/** What must be preferred to an item before its turn comes; one without observations is no gift. */
function priceOf({ observations }: Cost): number {
  return Math.max(1, observations) * OBSERVATIONS_A_SHARE;
}
