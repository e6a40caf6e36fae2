import { perLane, type Lane, type PerLane } from '@engram/model';
import type { Cost } from './lane-queues.ts';

/** What may be under way in each lane, queued or at work, over all workers. */
export class LaneBudget {
  readonly #limits: PerLane<Cost>;
  readonly #used = perLane(() => ({ observations: 0, bytes: 0 }));

  constructor(limits: PerLane<Cost>) {
    this.#limits = limits;
  }

  /** Whether there is room; an empty lane takes one item of any size, else it could never come. */
  fits(lane: Lane, { observations, bytes }: Cost): boolean {
    const used = this.#used[lane];
    const limit = this.#limits[lane];
    if (used.observations === 0 && used.bytes === 0) return true;
    return (
      used.observations + observations <= limit.observations && used.bytes + bytes <= limit.bytes
    );
  }

  /** @returns false when there is no room */
  take(lane: Lane, cost: Cost): boolean {
    if (!this.fits(lane, cost)) return false;
    const used = this.#used[lane];
    used.observations += cost.observations;
    used.bytes += cost.bytes;
    return true;
  }

  giveBack(lane: Lane, { observations, bytes }: Cost): void {
    this.#used[lane].observations -= observations;
    this.#used[lane].bytes -= bytes;
  }

  room(lane: Lane): Cost {
    const used = this.#used[lane];
    const limit = this.#limits[lane];
    return {
      observations: Math.max(0, limit.observations - used.observations),
      bytes: Math.max(0, limit.bytes - used.bytes),
    };
  }

  used(lane: Lane): Cost {
    return { ...this.#used[lane] };
  }
}
