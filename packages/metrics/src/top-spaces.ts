// Some spaces by name and all others as one: a label for each of thousands would cost more than it tells.
//
//   T1. At most `placesMax` spaces have a name of their own; everything else is counted as `other`.
//   T2. What was counted for a name stays with it: a place is given on only once its space was silent, and its
//       count leaves with it, which Prometheus takes for a counter that began anew.

import type { MetricsRegistry } from './catalogue.ts';

const OTHER = 'other';

interface Place {
  count: number;
  lastAtMs: number;
}

export interface TopSpacesOptions {
  readonly placesMax: number;
  /** After which another space may have the place. */
  readonly silentMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export class TopSpaces {
  readonly #options: TopSpacesOptions;
  readonly #places = new Map<string, Place>();
  #others = 0;

  constructor(registry: MetricsRegistry, name: string, help: string, options: TopSpacesOptions) {
    this.#options = options;
    registry.total(name, help, ['space'], (set) => {
      for (const [space, { count }] of this.#places) set(count, { space });
      set(this.#others, { space: OTHER });
    });
  }

  add(space: string, count: number): void {
    const place = this.#places.get(space) ?? this.#placeFor(space);
    if (place === undefined) {
      this.#others += count;
      return;
    }
    place.count += count;
    place.lastAtMs = this.#options.now();
  }

  #placeFor(space: string): Place | undefined {
    const { placesMax, silentMs, now } = this.#options;
    if (space === OTHER) return undefined; // of a name that means something else here
    if (this.#places.size >= placesMax) {
      const before = now() - silentMs;
      const silent = [...this.#places].find(([, { lastAtMs }]) => lastAtMs < before);
      if (silent === undefined) return undefined;
      this.#places.delete(silent[0]);
    }
    const place = { count: 0, lastAtMs: now() };
    this.#places.set(space, place);
    return place;
  }
}
