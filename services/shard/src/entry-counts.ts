import { frameCounts, type BodyKind } from '@engram/codec';
import { RunningMean } from '@engram/runtime';

/** Share of a new entry in the running mean. */
const WEIGHT = 1 / 32;

/** How many observations entries have: of frames exactly, of other bodies as many as bytes suggest. */
export class EntryCounts {
  readonly #observations = new RunningMean(1, WEIGHT);
  readonly #bytes = new RunningMean(1_024, WEIGHT);

  /** Observations an entry has on average, at least 1. */
  get mean(): number {
    return this.#observations.value;
  }

  of(kind: BodyKind, bytes: Uint8Array): number {
    const frame = kind === 'frame' ? frameCounts(bytes) : undefined;
    const known = frame && Math.max(1, frame.puts + frame.deletes);
    const count = known ?? Math.max(1, Math.round(bytes.length / this.#bytes.value));
    this.#observations.note(count);
    if (known !== undefined) this.#bytes.note(bytes.length / known);
    return count;
  }
}
