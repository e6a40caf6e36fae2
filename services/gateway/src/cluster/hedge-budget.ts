/**
 * Hedges may be a tenth of the questions, after some that are free: where all answers are slow because
 * there is too much to do, asking everything twice would make it worse.
 */
const SHARE = 0.1;
const FREE = 20;

export class HedgeBudget {
  #left = FREE;

  /** A question was asked. */
  earn(): void {
    this.#left = Math.min(FREE, this.#left + SHARE);
  }

  /** Whether a hedge may be sent; it is counted. */
  take(): boolean {
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
