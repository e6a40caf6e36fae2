/** Until anything was measured: less than any machine does, more than a stalled one. */
const RATE_FIRST = 2_000;
/** What was measured so long ago counts for a third. */
const MEMORY_MS = 2_000;

/**
 * How fast a lane is worked off, in observations a second. Only times count in which something always
 * waited; in others the rate is what came in, so that it can only raise the estimate.
 */
export class DrainRate {
  #rate = RATE_FIRST;

  get value(): number {
    return this.#rate;
  }

  /**
   * @param done observations applied within the time
   * @param hasWaited whether something waited from the first moment to the last
   */
  note(done: number, elapsedMs: number, hasWaited: boolean): void {
    if (!(elapsedMs > 0)) return;
    const measured = (done / elapsedMs) * 1_000;
    if (!hasWaited && measured <= this.#rate) return;
    const weight = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    this.#rate += (measured - this.#rate) * weight;
  }
}
