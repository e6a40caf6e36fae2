/** Share of the largest batch that each whole one adds. */
const STEP_SHARE = 1 / 20;

/** How many observations go into a batch: a step more with each that is taken, half with each refusal. */
export class BatchSize {
  readonly #max: number;
  #value: number;

  constructor(max: number) {
    this.#max = max;
    this.#value = max;
  }

  get value(): number {
    return this.#value;
  }

  /** Smaller ones say nothing of how many would be taken. */
  taken(count: number): void {
    if (count < this.#value) return;
    const step = Math.max(1, Math.round(this.#max * STEP_SHARE));
    this.#value = Math.min(this.#max, this.#value + step);
  }

  /** @param batchMax what the cluster says that it would take */
  refused(batchMax = Infinity): void {
    this.#value = Math.max(1, Math.min(Math.floor(this.#value / 2), batchMax));
  }
}
