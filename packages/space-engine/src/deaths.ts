/** When rows of a segment died. Takes no memory until the first does. */
export class Deaths {
  #stamps: Float64Array | undefined;
  #count = 0;

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
  }

  /** Dead rows with their stamps, in order. */
  *entries(): Generator<readonly [row: number, stamp: number]> {
    if (this.#stamps === undefined) return;
    for (const [row, stamp] of this.#stamps.entries()) if (stamp !== 0) yield [row, stamp];
  }

  #reach(row: number): void {
    const grown = new Float64Array(Math.max(64, 2 ** Math.ceil(Math.log2(row + 1))));
    if (this.#stamps !== undefined) grown.set(this.#stamps);
    this.#stamps = grown;
  }
}
