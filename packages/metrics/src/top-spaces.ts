// Some spaces by name and all others as one: a label for each of thousands would cost more than it tells.
//
//   T1. At most `placesMax` spaces have a name of their own; everything else is counted as `other`.
//   T2. Each window the busiest take places: from spaces that had less than half as much to do. What was counted
//       for a name leaves with it, which Prometheus takes for a counter that began anew.

import type { MetricsRegistry } from './catalogue.ts';

const OTHER = 'other';
/** Spaces without a place that are looked at in a window, the first that come: a bound of memory. */
const CANDIDATES_MAX = 1_000;
/** As much busier a space has to be that takes another's place. */
const BUSIER = 2;

export interface TopSpacesOptions {
  readonly placesMax: number;
  /** Between two looks at who is busiest. */
  readonly windowMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class TopSpaces {
  readonly #options: TopSpacesOptions;
  readonly #counts = new Map<string, number>();
  /** What came in this window, of spaces with a place and of others. */
  #window = new Map<string, number>();
  #windowEndMs: number;
  #others = 0;

  constructor(registry: MetricsRegistry, name: string, help: string, options: TopSpacesOptions) {
    this.#options = options;
    this.#windowEndMs = options.now() + options.windowMs;
    registry.total(name, help, ['space'], (set) => {
      this.#turn();
      for (const [space, count] of this.#counts) set(count, { space });
      set(this.#others, { space: OTHER });
    });
  }

  /** Counts something that a space did. */
  add(space: string, count: number): void {
    this.#turn();
    const before = this.#window.get(space);
    if (before !== undefined || this.#counts.has(space) || this.#window.size < CANDIDATES_MAX)
      this.#window.set(space, (before ?? 0) + count);
    const known = this.#counts.get(space);
    // A space may have the name that means something else here.
    if (known !== undefined || (this.#counts.size < this.#options.placesMax && space !== OTHER))
      this.#counts.set(space, (known ?? 0) + count);
    else this.#others += count;
  }

  /** Gives places to who was busier, once the window is over. */
  #turn(): void {
    const { now, windowMs, placesMax } = this.#options;
    if (now() < this.#windowEndMs) return;
    const window = this.#window;
    this.#window = new Map();
    this.#windowEndMs = now() + windowMs;
    if (this.#counts.size < placesMax) return;
    const busy = (space: string) => window.get(space) ?? 0;
    const placed = [...this.#counts.keys()].sort((a, b) => busy(a) - busy(b));
    const others = [...window.keys()]
      .filter((space) => space !== OTHER && !this.#counts.has(space))
      .sort((a, b) => busy(b) - busy(a));
    for (const [i, space] of placed.entries()) {
      const busier = others[i];
      if (busier === undefined || busy(busier) <= BUSIER * busy(space)) return;
      this.#counts.delete(space);
      this.#counts.set(busier, 0);
    }
  }
}
