import { SpaceUse } from '@engram/admission';
import type { SpaceId } from '@engram/model';
import { RunningMean, type Clock } from '@engram/runtime';

/** Share of a new entry in the running means. */
const WEIGHT = 1 / 32;

/** What goes through one lane of the partitions that are served, in observations. */
export class LaneFlow {
  readonly #clock: Clock;
  readonly #mean = new RunningMean(1, WEIGHT);
  readonly #bytesEach = new RunningMean(1, WEIGHT);
  readonly #use = new SpaceUse<SpaceId>();
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
    return this.#use.underWay;
  }

  /** Finished since the process began. */
  get applied(): number {
    return this.#applied;
  }

  /** What is under way of each space that shares the lane at this time. */
  underWayBySpace(): ReadonlyMap<SpaceId, number> {
    return this.#use.bySpace(this.#clock.now());
  }

  /** Notes an entry; returns what to call when it is finished, or let go (`false`). */
  begin(space: SpaceId, observations: number, bytes: number): (isApplied: boolean) => void {
    this.#mean.note(observations);
    if (observations > 0) this.#bytesEach.note(bytes / observations);
    const leave = this.#use.enter(space, observations, this.#clock.now());
    return (isApplied) => {
      leave();
      if (isApplied) this.#applied += observations;
    };
  }
}
