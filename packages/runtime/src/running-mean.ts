/** A mean in which each value counts less the longer ago it was. */
export class RunningMean {
  readonly #weight: number;
  #value: number;

  /** @param weight share of a new value, from 0 to 1 */
  constructor(first: number, weight: number) {
    this.#value = first;
    this.#weight = weight;
  }

  get value(): number {
    return this.#value;
  }

  note(value: number): void {
    this.#value += (value - this.#value) * this.#weight;
  }
}
