import type { Metadata, Predicate } from '@engram/model';
import type { Pace } from './pace.ts';
import type { Segment } from './segment.ts';

/** Rows judged between two looks at the time; some 0.3 ms. */
const ROWS_A_LOOK = 256;
/** Filters whose matches are kept for each space; a bit for each row and filter. */
const FILTERS_MAX = 8;

/** Which rows of a segment a filter takes. Rows do not change, so what was judged stays true. */
export class Matches {
  #bits = new Uint8Array(0);
  #judgedTo = 0;
  #count = 0;

  /** Matching rows, the dead included. */
  get count(): number {
    return this.#count;
  }

  has(row: number): boolean {
    return (this.#bits[row >> 3]! & (1 << (row & 7))) !== 0;
  }

  /** Judges the rows that came since. */
  async judge(segment: Segment, predicate: Predicate, pace: Pace): Promise<void> {
    const to = segment.rows;
    if (this.#bits.length * 8 < to) {
      const grown = new Uint8Array(Math.max((to + 7) >> 3, this.#bits.length * 2));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    while (this.#judgedTo < to) {
      const from = this.#judgedTo;
      const end = Math.min(to, from + ROWS_A_LOOK);
      segment.forEachMetadata(from, end, (row, text) => {
        if (!predicate(text === undefined ? undefined : (JSON.parse(text) as Metadata))) return;
        this.#bits[row >> 3]! |= 1 << (row & 7);
        this.#count++;
      });
      this.#judgedTo = end;
      // Another recall with this filter may go on meanwhile; this one continues where that stands.
      if (pace.isDue()) await pace.turn();
    }
  }

  /** Matching rows from `from` to `to - 1`, ascending. */
  *between(from: number, to: number): Generator<number> {
    for (let byte = from >> 3; byte < this.#bits.length; byte++) {
      const bits = this.#bits[byte]!;
      if (bits === 0) continue;
      for (let bit = 0; bit < 8; bit++) {
        const row = byte * 8 + bit;
        if (row >= to) return;
        if (row >= from && (bits & (1 << bit)) !== 0) yield row;
      }
    }
  }
}

/** The matches of the filters that were asked for last. */
export class FilterCache {
  readonly #filters = new Map<string, WeakMap<Segment, Matches>>();

  /** @param key the filter's text: equal texts are one filter */
  async matches(key: string, segment: Segment, predicate: Predicate, pace: Pace): Promise<Matches> {
    let bySegment = this.#filters.get(key);
    this.#filters.delete(key);
    bySegment ??= new WeakMap();
    this.#filters.set(key, bySegment); // the newest is last
    if (this.#filters.size > FILTERS_MAX)
      for (const oldest of this.#filters.keys()) {
        this.#filters.delete(oldest);
        break;
      }
    let matches = bySegment.get(segment);
    if (matches === undefined) bySegment.set(segment, (matches = new Matches()));
    await matches.judge(segment, predicate, pace);
    return matches;
  }

  clear(): void {
    this.#filters.clear();
  }
}
