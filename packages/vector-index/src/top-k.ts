/** The k best of many scored rows, higher scores first: a binary heap in typed arrays. */
export class TopK {
  readonly #rows: Uint32Array;
  readonly #scores: Float64Array;
  #size = 0;

  /** @param k at least 1 */
  constructor(k: number) {
    this.#rows = new Uint32Array(k);
    this.#scores = new Float64Array(k);
  }

  get size(): number {
    return this.#size;
  }

  /** A row at or below this score would not be taken. */
  get threshold(): number {
    return this.#size < this.#rows.length ? -Infinity : this.#scores[0]!;
  }

  /** Offers a row. Each row must be offered once; the score must not be NaN. */
  offer(row: number, score: number): void {
    if (this.#size < this.#rows.length) {
      this.#place(this.#rise(this.#size++, score), row, score);
    } else if (score > this.#scores[0]!) {
      this.#place(this.#sink(score), row, score);
    }
  }

  /** The rows taken, best first; rows of one score in ascending order, so that answers repeat. */
  drain(): { readonly row: number; readonly score: number }[] {
    return Array.from({ length: this.#size }, (_, i) => ({
      row: this.#rows[i]!,
      score: this.#scores[i]!,
    })).sort((left, right) => right.score - left.score || left.row - right.row);
  }

  #place(slot: number, row: number, score: number): void {
    this.#rows[slot] = row;
    this.#scores[slot] = score;
  }

  /** Moves worse parents down from a free slot; the slot where the score belongs. */
  #rise(start: number, score: number): number {
    let slot = start;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (this.#scores[parent]! <= score) break;
      this.#place(slot, this.#rows[parent]!, this.#scores[parent]!);
      slot = parent;
    }
    return slot;
  }

  #sink(score: number): number {
    let slot = 0;
    for (;;) {
      let child = 2 * slot + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#scores[child + 1]! < this.#scores[child]!) child++;
      if (this.#scores[child]! >= score) break;
      this.#place(slot, this.#rows[child]!, this.#scores[child]!);
      slot = child;
    }
    return slot;
  }
}
