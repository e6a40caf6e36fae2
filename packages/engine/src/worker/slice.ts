import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pace } from '@engram/space-engine';

/**
 * Work of a worker thread goes in slices; between two of them recalls have their turn, so a recall
 * waits for one slice of each thing under way. A graph insert at 768 dimensions takes 0.1 ms.
 */
const SLICE_MS = 1.5;
/** While entries are applied: they become searchable first, and graphs keep a share of the time. */
const SLICE_MS_WHEN_APPLYING = 0.3;
/** More entries are to be expected for so long after one. */
const APPLYING_MS = 5;

let appliedAtMs = -Infinity;

export function noteApply(): void {
  appliedAtMs = performance.now();
}

function buildSliceMs(): number {
  return performance.now() - appliedAtMs < APPLYING_MS ? SLICE_MS_WHEN_APPLYING : SLICE_MS;
}

/** A pace of its own for each thing that goes on: one must not end the slice of another. */
export function slicedPace(sliceMs = () => SLICE_MS): Pace {
  let endsAt = performance.now() + sliceMs();
  return {
    isDue: () => performance.now() >= endsAt,
    turn: async () => {
      await nextTurn();
      endsAt = performance.now() + sliceMs();
    },
  };
}

/** For what can wait while entries are applied. */
export function buildPace(): Pace {
  return slicedPace(buildSliceMs);
}

/** Tells when a slice of graph building that begins now is over. */
export function slice(): () => boolean {
  const endsAt = performance.now() + buildSliceMs();
  return () => performance.now() >= endsAt;
}
