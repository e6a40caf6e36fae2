import { frameCounts, type BodyKind } from '@engram/codec';

/** Share of a new entry in the running mean. */
const WEIGHT = 1 / 32;

/** How many observations entries have: of frames exactly, of other bodies as many as bytes suggest. */
export class EntryCounts {
  #meanObservations = 1;
  #meanBytes = 1_024;

  /** Observations an entry has on average, at least 1. */
  get mean(): number {
    return this.#meanObservations;
  }

  of(kind: BodyKind, bytes: Uint8Array): number {
    const frame = kind === 'frame' ? frameCounts(bytes) : undefined;
    const known = frame && Math.max(1, frame.puts + frame.deletes);
    const count = known ?? Math.max(1, Math.round(bytes.length / this.#meanBytes));
    this.#meanObservations += (count - this.#meanObservations) * WEIGHT;
    if (known !== undefined) this.#meanBytes += (bytes.length / known - this.#meanBytes) * WEIGHT;
    return count;
  }
}
