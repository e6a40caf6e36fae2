import { LANES, perLane, type Lane } from '@engram/model';
import { laneOf, sequenceOf, stampOf, type Snapshot } from './stamp.ts';

/** Of two lanes; beyond it the oldest are taken for one, which refuses a little more. */
const PAIRS_MAX = 1_024;
/** The same, where they are stored. */
const STORED_MAX = 64;

interface Pair {
  readonly entry: number;
  readonly other: number;
}

/**
 * Pairs of entries of one id, of which a snapshot that has the first and not the second cannot be told.
 * Both are stamps outside, and sequences inside.
 */
export class EntryPairs {
  /** By the lane of the entry and the lane of the other one. */
  readonly #pairs = perLane(() => perLane((): Pair[] => []));

  constructor(stored: readonly (readonly [entry: number, other: number])[] = []) {
    for (const [entry, other] of stored) this.add(entry, other);
  }

  add(entryStamp: number, otherStamp: number): void {
    const pairs = this.#pairs[laneOf(entryStamp)][laneOf(otherStamp)];
    const [entry, other] = [sequenceOf(entryStamp), sequenceOf(otherStamp)];
    const last = pairs.at(-1);
    // Of one entry with several the latest tells all, and of several with one the earliest.
    if (last?.entry === entry)
      pairs[pairs.length - 1] = { entry, other: Math.max(last.other, other) };
    else if (last?.other === other)
      pairs[pairs.length - 1] = { entry: Math.min(last.entry, entry), other };
    else pairs.push({ entry, other });
    if (pairs.length > PAIRS_MAX) pairs.splice(0, 2, merged(pairs.slice(0, 2)));
  }

  /** Whether the snapshot has no entry without the other one. */
  areWhole(asOf: Snapshot): boolean {
    for (const lane of LANES)
      for (const of of LANES)
        for (const { entry, other } of this.#pairs[lane][of])
          if (entry <= asOf[lane] && asOf[of] < other) return false;
    return true;
  }

  /** For `new EntryPairs`; the older ones as one. */
  get stored(): (readonly [entry: number, other: number])[] {
    const listed = (lane: Lane, of: Lane) => {
      const pairs = this.#pairs[lane][of];
      const older = pairs.slice(0, -STORED_MAX);
      const kept = [...(older.length > 0 ? [merged(older)] : []), ...pairs.slice(-STORED_MAX)];
      return kept.map(({ entry, other }) => [stampOf(entry, lane), stampOf(other, of)] as const);
    };
    return LANES.flatMap((lane) => LANES.flatMap((of) => listed(lane, of)));
  }
}

function merged(pairs: readonly Pair[]): Pair {
  return {
    entry: Math.min(...pairs.map(({ entry }) => entry)),
    other: Math.max(...pairs.map(({ other }) => other)),
  };
}
