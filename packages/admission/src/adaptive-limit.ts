// How much may be under way at one time, so that a delay stays near what it may be: additive increase and
// multiplicative decrease (Chiu and Jain, "Analysis of the increase and decrease algorithms", 1989).
//
//   W1. It falls while the delay is too long, from what is really under way: a limit that nobody reaches
//       says nothing.
//   W2. It rises only while it keeps somebody out.

export interface AdaptiveLimitOptions {
  readonly least: number;
  readonly most: number;
  readonly first: number;
  readonly delayMaxMs: number;
}

/** Ten looks a second halve it in less than one. */
const DECREASE = 0.9;
const INCREASE = 1;

export class AdaptiveLimit {
  readonly #options: AdaptiveLimitOptions;
  #value: number;

  constructor(options: AdaptiveLimitOptions) {
    this.#options = options;
    this.#value = options.first;
  }

  get value(): number {
    return this.#value;
  }

  /**
   * To be called several times a second.
   * @param underWay the most at one time since the last call
   * @param hasRefused whether the limit kept somebody out since
   */
  note(delayMs: number, underWay: number, hasRefused: boolean): void {
    const { least, most, delayMaxMs } = this.#options;
    if (delayMs > delayMaxMs)
      this.#value = Math.max(least, Math.min(this.#value, underWay) * DECREASE); // W1
    else if (hasRefused) this.#value = Math.min(most, this.#value + INCREASE); // W2
  }
}
