// Where each living id stands: an open-addressing table with linear probing in typed arrays, so that
// a million ids are four arrays and no object.
//
//   T1. An entry is reached from its home slot over taken slots only: a removal moves later entries up.

const SLOTS_MIN = 16;
/** Probes stay short up to here; a table that fuller than this doubles. */
const LOAD_MAX = 0.7;
const FREE = 0;
const SLOT_BYTES = 4 + 4 + 4 + 2;

export class IdTable {
  #high!: Uint32Array;
  #low!: Uint32Array;
  #row!: Uint32Array;
  /** Number of the segment, from 1; 0 where the slot is free. */
  #segment!: Uint16Array;
  #mask = 0;
  #size = 0;

  constructor(expected = 0) {
    let slots = SLOTS_MIN;
    while (slots * LOAD_MAX < expected) slots *= 2;
    this.#allocate(slots);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return (this.#mask + 1) * SLOT_BYTES;
  }

  segment(slot: number): number {
    return this.#segment[slot]!;
  }

  row(slot: number): number {
    return this.#row[slot]!;
  }

  /** The first slot with this hash, or -1. Whether its id is the same is the caller's to see. */
  first(high: number, low: number): number {
    return this.#seek(low & this.#mask, high, low);
  }

  /** The slot after `slot` with the same hash, or -1. */
  next(slot: number, high: number, low: number): number {
    return this.#seek((slot + 1) & this.#mask, high, low);
  }

  /** Adds an entry for an id that is not in the table. */
  add(high: number, low: number, segment: number, row: number): void {
    if (this.#size + 1 > (this.#mask + 1) * LOAD_MAX) this.#grow();
    this.#place(high, low, segment, row);
    this.#size++;
  }

  /** Points an entry to another place. */
  move(slot: number, segment: number, row: number): void {
    this.#segment[slot] = segment;
    this.#row[slot] = row;
  }

  remove(slot: number): void {
    const mask = this.#mask;
    let hole = slot;
    let at = (slot + 1) & mask;
    while (this.#segment[at] !== FREE) {
      const home = this.#low[at]! & mask;
      // Moves up only what would no longer be reached over the hole (T1).
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        this.#copy(at, hole);
        hole = at;
      }
      at = (at + 1) & mask;
    }
    this.#segment[hole] = FREE;
    this.#size--;
  }

  /** Points entries to where their rows went; `target` answers undefined for those that stay. */
  relocate(
    target: (segment: number, row: number) => { segment: number; row: number } | undefined,
  ): void {
    for (let slot = 0; slot <= this.#mask; slot++) {
      const segment = this.#segment[slot]!;
      if (segment === FREE) continue;
      const moved = target(segment, this.#row[slot]!);
      if (moved !== undefined) this.move(slot, moved.segment, moved.row);
    }
  }

  #seek(start: number, high: number, low: number): number {
    const mask = this.#mask;
    for (let slot = start; this.#segment[slot] !== FREE; slot = (slot + 1) & mask)
      if (this.#low[slot] === low && this.#high[slot] === high) return slot;
    return -1;
  }

  #place(high: number, low: number, segment: number, row: number): void {
    let slot = low & this.#mask;
    while (this.#segment[slot] !== FREE) slot = (slot + 1) & this.#mask;
    this.#high[slot] = high;
    this.#low[slot] = low;
    this.move(slot, segment, row);
  }

  #copy(from: number, to: number): void {
    this.#high[to] = this.#high[from]!;
    this.#low[to] = this.#low[from]!;
    this.move(to, this.#segment[from]!, this.#row[from]!);
  }

  #grow(): void {
    const [high, low, row, segment] = [this.#high, this.#low, this.#row, this.#segment];
    this.#allocate((this.#mask + 1) * 2);
    for (let slot = 0; slot < segment.length; slot++)
      if (segment[slot] !== FREE) this.#place(high[slot]!, low[slot]!, segment[slot]!, row[slot]!);
  }

  #allocate(slots: number): void {
    this.#high = new Uint32Array(slots);
    this.#low = new Uint32Array(slots);
    this.#row = new Uint32Array(slots);
    this.#segment = new Uint16Array(slots);
    this.#mask = slots - 1;
  }
}
