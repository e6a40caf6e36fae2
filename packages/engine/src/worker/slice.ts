import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Pace } from '@engram/space-engine';

/**
 * Work of a worker thread goes in slices; between two of them recalls have their turn, so a recall
 * waits for one slice of each thing under way. A graph insert at 768 dimensions takes 0.1 ms.
 */
const SLICE_MS = 1.5;

/** A pace of its own for each thing that goes on: one must not end the slice of another. */
export function slicedPace(): Pace {
  let endsAt = performance.now() + SLICE_MS;
  return {
    isDue: () => performance.now() >= endsAt,
    turn: async () => {
      await nextTurn();
      endsAt = performance.now() + SLICE_MS;
    },
  };
}

/** While entries wait to be applied: they become searchable first, and graphs keep a share of the time. */
const SLICE_MS_WHEN_APPLYING = 0.3;

/** Tells when a slice that begins now is over. */
export function slice(isApplying: boolean): () => boolean {
  const endsAt = performance.now() + (isApplying ? SLICE_MS_WHEN_APPLYING : SLICE_MS);
  return () => performance.now() >= endsAt;
}
