import type { SpaceId } from '@engram/model';
import { RunningMean, type Clock } from '@engram/runtime';

/** Share of a new entry in the running means. */
const WEIGHT = 1 / 32;
/** So long after its last entry a space counts as one of those that share the lane. */
const SHARES_FOR_MS = 10_000;

interface SpaceFlow {
  underWay: number;
  begunAtMs: number;
}

/** What goes through one lane of the partitions that are served, in observations. */
export class LaneFlow {
  readonly #clock: Clock;
  readonly #mean = new RunningMean(1, WEIGHT);
  readonly #bytesEach = new RunningMean(1, WEIGHT);
  readonly #spaces = new Map<SpaceId, SpaceFlow>();
  #underWay = 0;
  #applied = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Observations an entry has on average. */
  get mean(): number {
    return this.#mean.value;
  }

  /** Bytes an observation has on average. */
  get bytesEach(): number {
    return this.#bytesEach.value;
  }

  /** Taken from the log and not finished. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Finished since the process began. */
  get applied(): number {
    return this.#applied;
  }

  /** What is under way of each space that shares the lane at this time. */
  underWayBySpace(): ReadonlyMap<SpaceId, number> {
    const since = this.#clock.now() - SHARES_FOR_MS;
    const told = new Map<SpaceId, number>();
    for (const [space, { underWay, begunAtMs }] of this.#spaces)
      if (underWay > 0 || begunAtMs >= since) told.set(space, underWay);
      else this.#spaces.delete(space);
    return told;
  }

  /** Notes an entry; returns what to call when it is finished, or let go (`false`). */
  begin(space: SpaceId, observations: number, bytes: number): (isApplied: boolean) => void {
    this.#mean.note(observations);
    if (observations > 0) this.#bytesEach.note(bytes / observations);
    this.#underWay += observations;
    const flow = this.#spaces.get(space) ?? { underWay: 0, begunAtMs: 0 };
    this.#spaces.set(space, flow);
    flow.underWay += observations;
    flow.begunAtMs = this.#clock.now();
    return (isApplied) => {
      flow.underWay -= observations;
      this.#underWay -= observations;
      if (isApplied) this.#applied += observations;
    };
  }
}
