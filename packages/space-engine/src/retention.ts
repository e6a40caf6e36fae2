import { LANES, perLane, type Lane, type PerLane } from '@engram/model';
import { laneOf, sequenceOf, type Snapshot } from './stamp.ts';

const NOWHERE: Snapshot = perLane(() => 0);

/** Of a pair of lanes; beyond it the oldest are taken for one, which refuses a little more. */
const OVERTAKINGS_MAX = 256;

/** An entry that came when a later one of the same id had been applied: it left no row. */
interface Overtaking {
  readonly entry: number;
  readonly by: number;
}

/** Which snapshots are whole: rows that died long ago may be removed, and some entries left none. */
export class Retention {
  readonly #keepMs: number;
  #seen: PerLane<number> & Record<Lane, number> = perLane(() => 0);
  /** Where the lanes were at the beginning of this period, and of the one before it. */
  #current: { atMs: number; seen: Snapshot } | undefined;
  #removableTo: Snapshot = NOWHERE;
  #horizon: Snapshot;
  /** Sequences, by the lane of the entry and the lane of what had overtaken it. */
  readonly #overtakings = perLane(() => perLane((): Overtaking[] => []));

  constructor(keepMs: number, horizon: Snapshot = NOWHERE) {
    this.#keepMs = keepMs;
    this.#horizon = horizon;
  }

  /** Snapshots below this in any lane may miss rows. */
  get horizon(): Snapshot {
    return this.#horizon;
  }

  /** The same for who does not keep which entries were overtaken. */
  get horizonBehindOvertakings(): Snapshot {
    return perLane((lane) =>
      LANES.flatMap((of) => this.#overtakings[of][lane]).reduce(
        (horizon, { by }) => Math.max(horizon, by),
        this.#horizon[lane],
      ),
    );
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

  /** A row with this death is gone for good. */
  removed(death: number): void {
    const lane = laneOf(death);
    if (sequenceOf(death) > this.#horizon[lane])
      this.#horizon = { ...this.#horizon, [lane]: sequenceOf(death) };
  }

  /**
   * An entry changes nothing because what stands under its id is later (both are stamps). Lanes are
   * applied at their own pace, most of all when the log is replayed: a snapshot that another life or
   * another replica gave may see the entry and not what overtook it.
   */
  overtaken(stale: number, by: number): void {
    const [entry, overtaker] = [sequenceOf(stale), sequenceOf(by)];
    // It was here before and comes again.
    if (entry === overtaker) return;
    const before = this.#overtakings[laneOf(stale)][laneOf(by)];
    const last = before.at(-1);
    if (last?.entry === entry)
      before[before.length - 1] = { entry, by: Math.max(last.by, overtaker) };
    else before.push({ entry, by: overtaker });
    if (before.length <= OVERTAKINGS_MAX) return;
    const [first, second] = before as [Overtaking, Overtaking];
    before.splice(0, 2, {
      entry: Math.min(first.entry, second.entry),
      by: Math.max(first.by, second.by),
    });
  }

  /** Whether all rows of the snapshot that there ever were are still there. */
  isKept(asOf: Snapshot): boolean {
    return LANES.every((lane) => asOf[lane] >= this.#horizon[lane]);
  }

  /** Whether it also lacks no entry for which there never was a row. */
  isWhole(asOf: Snapshot): boolean {
    const isSeen = (lane: Lane, by: Lane) =>
      this.#overtakings[lane][by].every((each) => asOf[lane] < each.entry || asOf[by] >= each.by);
    return this.isKept(asOf) && LANES.every((lane) => LANES.every((by) => isSeen(lane, by)));
  }
}
