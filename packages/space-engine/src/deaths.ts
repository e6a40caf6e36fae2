/** A row and the stamp of its death, one after the other: no object for each, or half a second of them. */
export type StoredDeaths = Float64Array;

export function forEachStored(
  deaths: StoredDeaths,
  visit: (row: number, stamp: number) => void,
): void {
  for (let i = 0; i < deaths.length; i += 2) visit(deaths[i]!, deaths[i + 1]!);
}

/** When rows of a segment died. Takes no memory until the first does. */
export class Deaths {
  #stamps: Float64Array | undefined;
  #count = 0;
  #lowest = Infinity;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#stamps?.byteLength ?? 0;
  }

  isAlive(row: number): boolean {
    return this.at(row) === 0;
  }

  /** The stamp of the entry that ended a row, 0 while it lives. */
  at(row: number): number {
    const stamps = this.#stamps;
    return stamps === undefined || row >= stamps.length ? 0 : stamps[row]!;
  }

  kill(row: number, stamp: number): void {
    if (this.#stamps === undefined || row >= this.#stamps.length) this.#reach(row);
    if (this.#stamps![row] === 0) this.#count++;
    this.#stamps![row] = stamp;
    if (stamp < this.#lowest) this.#lowest = stamp;
  }

  /** The lowest stamp of a death that came since this was asked for last; Infinity where none did. */
  takeLowest(): number {
    const lowest = this.#lowest;
    this.#lowest = Infinity;
    return lowest;
  }

  /**
   * Visits the dead rows from one to before another with their stamps, in order. A plain loop: there may be
   * a million of them.
   */
  forEach(visit: (row: number, stamp: number) => void, from = 0, to = Infinity): void {
    const stamps = this.#stamps;
    if (stamps === undefined) return;
    const end = Math.min(to, stamps.length);
    for (let row = from; row < end; row++) {
      const stamp = stamps[row]!;
      if (stamp !== 0) visit(row, stamp);
    }
  }

  /** Dead rows from one to before another that a manifest is to name, counted from the first. */
  stored(from: number, to: number, isDead: (row: number, stamp: number) => boolean): StoredDeaths {
    const pairs = new Float64Array(Math.max(0, Math.min(this.#count, to - from)) * 2);
    let count = 0;
    const take = (row: number, stamp: number) => {
      if (!isDead(row, stamp)) return;
      pairs[count++] = row - from;
      pairs[count++] = stamp;
    };
    this.forEach(take, from, to);
    return pairs.subarray(0, count);
  }

  #reach(row: number): void {
    const grown = new Float64Array(Math.max(64, 2 ** Math.ceil(Math.log2(row + 1))));
    if (this.#stamps !== undefined) grown.set(this.#stamps);
    this.#stamps = grown;
  }
}
