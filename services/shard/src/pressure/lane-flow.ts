import { RunningMean } from '@engram/runtime';

/** Share of a new entry in the running mean. */
const WEIGHT = 1 / 32;

/** What goes through one lane of the partitions that are served, in observations. */
export class LaneFlow {
  readonly #mean = new RunningMean(1, WEIGHT);
  #underWay = 0;
  #applied = 0;

  /** Observations an entry has on average. */
  get mean(): number {
    return this.#mean.value;
  }

  /** Taken from the log and not finished. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Finished since the process began. */
  get applied(): number {
    return this.#applied;
  }

  /** Notes an entry; returns what to call when it is finished, or let go (`false`). */
  begin(observations: number): (isApplied: boolean) => void {
    this.#mean.note(observations);
    this.#underWay += observations;
    return (isApplied) => {
      this.#underWay -= observations;
      if (isApplied) this.#applied += observations;
    };
  }
}
