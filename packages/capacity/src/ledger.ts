/** L = λ · W, each side counted in its own way. */
export interface LittlesLaw {
  /** Batches in the system on average: the integral of their number over time. */
  readonly inSystem: number;
  /** That came, each millisecond. */
  readonly ratePerMs: number;
  /** From coming to going, on average. */
  readonly meanMs: number;
  /** (λ · W − L) / L. */
  readonly difference: number;
  readonly holds: boolean;
}

/** From an empty system to an empty one it holds exactly; what is left is rounding. */
const TOLERANCE = 1e-6;

/**
 * Books who came and who went. Over a time that begins and ends with an empty system L = λW is no statistic
 * but an identity (Little 1961; for finite times Little 2011, theorem LL.2), so a batch that is lost, counted
 * twice or timed from the wrong moment shows.
 */
export class Ledger {
  #present = 0;
  #came = 0;
  #areaMs = 0;
  #atMs = 0;
  #sojournsMs = 0;
  #went = 0;

  get went(): number {
    return this.#went;
  }

  enter(nowMs: number): void {
    this.#count(nowMs);
    this.#present++;
    this.#came++;
  }

  leave(nowMs: number, enteredAtMs: number): void {
    this.#count(nowMs);
    this.#present--;
    this.#went++;
    this.#sojournsMs += nowMs - enteredAtMs;
  }

  littlesLaw(nowMs: number): LittlesLaw {
    this.#count(nowMs);
    const inSystem = this.#areaMs / nowMs;
    const ratePerMs = this.#came / nowMs;
    const meanMs = this.#sojournsMs / this.#went;
    const difference = (ratePerMs * meanMs - inSystem) / inSystem;
    const holds = this.#came === this.#went && Math.abs(difference) <= TOLERANCE;
    return { inSystem, ratePerMs, meanMs, difference, holds };
  }

  #count(nowMs: number): void {
    this.#areaMs += this.#present * (nowMs - this.#atMs);
    this.#atMs = nowMs;
  }
}
