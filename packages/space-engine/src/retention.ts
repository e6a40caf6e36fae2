import { LANES, perLane, type Lane, type PerLane } from '@engram/model';
import { laneOf, sequenceOf, type Snapshot } from './stamp.ts';

const NOWHERE: Snapshot = perLane(() => 0);

/** How far back snapshots stay whole: rows that died before may be removed. */
export class Retention {
  readonly #keepMs: number;
  #seen: PerLane<number> & Record<Lane, number> = perLane(() => 0);
  /** Where the lanes were at the beginning of this period, and of the one before it. */
  #current: { atMs: number; seen: Snapshot } | undefined;
  #removableTo: Snapshot = NOWHERE;
  #horizon: Snapshot;

  constructor(keepMs: number, horizon: Snapshot = NOWHERE) {
    this.#keepMs = keepMs;
    this.#horizon = horizon;
  }

  /** Snapshots below this in any lane may miss rows. */
  get horizon(): Snapshot {
    return this.#horizon;
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

  isWhole(asOf: Snapshot): boolean {
    return LANES.every((lane) => asOf[lane] >= this.#horizon[lane]);
  }
}
