import { RunningMean } from '@engram/runtime';

/** Of one entry in the share of those that are the feed's own. */
const WEIGHT = 1 / 128;

/** How many entries of its own a feed has still to read. */
export class Waiting {
  #value = 0;
  readonly #ownShare = new RunningMean(1, WEIGHT);

  /** As far as the server told: an estimate while the feed reads without a filter. */
  get value(): number {
    return this.#value;
  }

  /** What was read without a filter, and whether it was for the feed. */
  noteRead(isOwn: boolean): void {
    this.#ownShare.note(isOwn ? 1 : 0);
  }

  /** @param pending entries that wait, of others too where there is no filter */
  noteTold(pending: number, hasFilter: boolean): void {
    this.#value = hasFilter ? pending : Math.round(pending * this.#ownShare.value);
  }
}
