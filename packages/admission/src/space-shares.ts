// Which spaces have more of a lane waiting than is fair to the others: the dynamic thresholds of shared
// buffers (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).
//
//   H1. What a space has waiting may be as much as is free. So one greedy space leaves half of the lane,
//       two leave a third, and there is always room for who sends little.
//   H2. However little is free, a space may have a quarter of an equal share: the others' greed is not
//       its own.
//   H3. A space that is alone may fill the lane: nobody is there to be kept out.

import type { SpaceId } from '@engram/model';
import { nextPressure, NO_PRESSURE, type Pressure, type PressureState } from './pressure.ts';

export interface SpaceShare {
  readonly level: Pressure;
  /** Observations of the space that wait in the lane. */
  readonly waiting: number;
  /** How long they take, if each space that waits gets the same. */
  readonly lagMs: number;
}

/** One greedy space in a lane is one too many; more than this at one time make the signal too long. */
const TOLD_MAX = 32;
/** Of an equal share, for whoever comes when nothing is free. */
const SHARE_MIN = 0.25;

export class SpaceShares {
  readonly #graceMs: number;
  #states = new Map<SpaceId, PressureState>();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /**
   * Those that are pressed, the most greedy first.
   * @param waiting observations of each space that uses the lane at this time, also 0
   * @param room observations that the lane may hold
   * @param drainRate observations a second
   */
  next(
    waiting: ReadonlyMap<SpaceId, number>,
    room: number,
    drainRate: number,
    nowMs: number,
  ): ReadonlyMap<SpaceId, SpaceShare> {
    const counts = [...waiting.values()];
    const sharers = counts.filter((count) => count > 0).length;
    const free = room - counts.reduce((sum, count) => sum + count, 0);
    const mayHave = Math.max(1, free, (room / Math.max(1, waiting.size)) * SHARE_MIN); // H1, H2
    const states = new Map<SpaceId, PressureState>();
    const pressed: (readonly [SpaceId, SpaceShare])[] = [];
    for (const [space, count] of waiting) {
      const fill = waiting.size < 2 ? 0 : count / mayHave; // H3
      const state = nextPressure(
        this.#states.get(space) ?? NO_PRESSURE,
        fill,
        nowMs,
        this.#graceMs,
      );
      if (state.level === 'normal') continue;
      states.set(space, state);
      const lagMs = Math.round((count * sharers * 1_000) / Math.max(1, drainRate));
      pressed.push([space, { level: state.level, waiting: Math.round(count), lagMs }]);
    }
    this.#states = states;
    pressed.sort(([, left], [, right]) => right.waiting - left.waiting);
    return new Map(pressed.slice(0, TOLD_MAX));
  }
}
