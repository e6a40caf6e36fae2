// Which snapshots are whole: rows that died long ago may be removed, and not every entry left one.
//
// Lanes are applied at their own pace, most of all when the log is replayed: another life or another
// replica may have given a snapshot that has an entry of one lane and not an earlier one of another. A row
// knows who killed it first, which tells everything about snapshots that have both or only the earlier one.
// The others are refused:
//
//   N1. an entry came when a later one of its id had been applied, and left no row: a snapshot with it
//       and without the later one lacks it;
//   N2. an entry took the place of one of another lane: a snapshot with it and without that one may still
//       see what that one had killed.

import { LANES, perLane, type Lane, type PerLane } from '@engram/model';
import type { Deaths } from './deaths.ts';
import { EntryPairs } from './entry-pairs.ts';
import { laneOf, sequenceOf, type Snapshot } from './stamp.ts';

const NOWHERE: Snapshot = perLane(() => 0);

/** What a space's folder keeps of it. */
export interface StoredRetention {
  /** Snapshots older than this in any lane are no longer whole. */
  readonly horizon: Snapshot;
  /** Stamps (N1, N2). */
  readonly pairs?: readonly (readonly [entry: number, other: number])[];
  /** The last deletes that are not known by their ids any more, as stamps. */
  readonly deletes?: readonly number[];
}

export class Retention {
  readonly #keepMs: number;
  #seen: PerLane<number> & Record<Lane, number> = perLane(() => 0);
  /** Where the lanes were at the beginning of this period, and of the one before it. */
  #current: { atMs: number; seen: Snapshot } | undefined;
  #removableTo: Snapshot = NOWHERE;
  /** What was counted, and up to where rows were removable then. */
  readonly #counts = new WeakMap<Deaths, { readonly to: Snapshot; readonly count: number }>();
  #horizon: Snapshot;
  readonly #pairs: EntryPairs;
  /** The last of each lane, 0 for none: any of them may have been of any id. */
  readonly #deletes = perLane(() => 0);
  /** Lanes in which no new id came since one of those changed. */
  readonly #unpaired = new Set<Lane>();

  constructor(
    keepMs: number,
    { horizon, pairs, deletes = [] }: StoredRetention = { horizon: NOWHERE },
  ) {
    this.#keepMs = keepMs;
    this.#horizon = horizon;
    this.#pairs = new EntryPairs(pairs);
    for (const stamp of deletes) this.forgotten(stamp);
  }

  /** Snapshots below this in any lane may miss rows. */
  get horizon(): Snapshot {
    return this.#horizon;
  }

  get stored(): StoredRetention {
    const pairs = this.#pairs.stored;
    const deletes = LANES.map((lane) => this.#deletes[lane]).filter((stamp) => stamp > 0);
    return {
      horizon: this.#horizon,
      ...(pairs.length > 0 && { pairs }),
      ...(deletes.length > 0 && { deletes }),
    };
  }

  note(sequence: number, lane: Lane): void {
    if (sequence > this.#seen[lane]) this.#seen[lane] = sequence;
  }

  /** @param isShort memory is short: nothing is kept for snapshots */
  tick(nowMs: number, isShort: boolean): void {
    if (isShort || this.#keepMs === 0) {
      this.#removableTo = { ...this.#seen };
      return;
    }
    this.#current ??= { atMs: nowMs, seen: { ...this.#seen } };
    if (nowMs - this.#current.atMs < this.#keepMs) return;
    this.#removableTo = this.#current.seen;
    this.#current = { atMs: nowMs, seen: { ...this.#seen } };
  }

  isRemovable(death: number): boolean {
    return death !== 0 && sequenceOf(death) <= this.#removableTo[laneOf(death)];
  }

  /**
   * Dead rows of a segment that no snapshot may ask for any more. It is asked for many times a second, and
   * they are counted again when more became removable or one died that is at once, in a replay.
   */
  countRemovable(deaths: Deaths): number {
    if (deaths.count === 0) return 0;
    const to = this.#removableTo;
    const lowest = sequenceOf(deaths.takeLowest());
    const counted = this.#counts.get(deaths);
    if (counted?.to === to && LANES.every((lane) => to[lane] < lowest)) return counted.count;
    let count = 0;
    deaths.forEach((_, stamp) => {
      if (this.isRemovable(stamp)) count++;
    });
    this.#counts.set(deaths, { to, count });
    return count;
  }

  /** A row with this death is gone for good. */
  removed(death: number): void {
    const lane = laneOf(death);
    if (sequenceOf(death) > this.#horizon[lane])
      this.#horizon = { ...this.#horizon, [lane]: sequenceOf(death) };
  }

  /** So are all removable ones of these: the horizon is moved once, for there may be a million. */
  removedOf(deaths: Deaths): void {
    const horizon: PerLane<number> & Record<Lane, number> = { ...this.#horizon };
    deaths.forEach((_, stamp) => {
      if (!this.isRemovable(stamp)) return;
      const lane = laneOf(stamp);
      horizon[lane] = Math.max(horizon[lane], sequenceOf(stamp));
    });
    this.#horizon = horizon;
  }

  /** An entry changes nothing because what stands under its id is later (N1); both are stamps. */
  overtaken(stale: number, by: number): void {
    // Otherwise it was here before and comes again.
    if (sequenceOf(stale) !== sequenceOf(by)) this.#pairs.add(stale, by);
  }

  /** An entry takes the place of a row or of a delete (N2); both are stamps. */
  replaced(before: number, by: number): void {
    if (laneOf(before) !== laneOf(by)) this.#pairs.add(by, before);
  }

  /** Which id this delete was of is known no longer. */
  forgotten(stamp: number): void {
    const lane = laneOf(stamp);
    if (stamp <= this.#deletes[lane]) return;
    this.#deletes[lane] = stamp;
    for (const each of LANES) if (each !== lane) this.#unpaired.add(each);
  }

  /** An entry is of an id of which nothing is known: it may take the place of a forgotten delete (N2). */
  appeared(stamp: number): void {
    if (this.#unpaired.size === 0 || !this.#unpaired.delete(laneOf(stamp))) return;
    for (const lane of LANES)
      if (this.#deletes[lane] > 0) this.replaced(this.#deletes[lane], stamp);
  }

  /** Whether all rows of the snapshot that there ever were are still there. */
  isKept(asOf: Snapshot): boolean {
    return LANES.every((lane) => asOf[lane] >= this.#horizon[lane]);
  }

  /** Whether it also shows neither too little nor too much (N1, N2). */
  isWhole(asOf: Snapshot): boolean {
    return this.isKept(asOf) && this.#pairs.areWhole(asOf);
  }
}
