// A stamp is a place in the log in one number: the sequence and the lane of an entry. Stamps order
// like sequences, because a sequence belongs to one entry and so to one lane.

import { LANES, type Lane, type PerLane } from '@engram/model';

/** Up to where each lane is seen: nothing newer than it exists for who holds it. */
export type Snapshot = PerLane<number>;

const LANE_STEPS = 4;

/** Exact below a sequence of 2^51. */
export function stampOf(sequence: number, lane: Lane): number {
  return sequence * LANE_STEPS + LANES.indexOf(lane);
}

export function sequenceOf(stamp: number): number {
  return Math.floor(stamp / LANE_STEPS);
}

export function laneOf(stamp: number): Lane {
  return LANES[stamp % LANE_STEPS]!;
}

export function isWithin(stamp: number, snapshot: Snapshot): boolean {
  return sequenceOf(stamp) <= snapshot[laneOf(stamp)];
}
