// Brings float32 rows and queries into the form that a graph compares:
//
//  E1 For cosine the row gets the length 1, so that every engine compares by its inner product or
//     its squared distance and none normalises by itself.
//  E2 The scale brings typical components of the other metrics to ±1 before they are narrowed:
//     `1 - dot`, which engines compare, would drown small products, and f16 ends at 65,504.
//  E3 What is farther out is clipped, never infinite. A graph only proposes rows: a clipped outlier
//     is found a little less well and scored exactly, while one infinity would spoil its neighbours.
//  E4 Where rows lie together far from 0 their centre is taken off first (encoding.ts).

import type { Metric } from '@engram/model';
import { floatScale, type Encoding } from './encoding.ts';
import { STEP_MAX } from './quantization.ts';
import { norm } from './score.ts';

/**
 * Far above any component that the scale has seen. f16 ends at 65,504; of the others, 4,096 squares
 * of differences still add up within a float32.
 */
const FLOAT_MAX = { f16: 65_504, bf16: 1e17, f32: 1e17 } as const;

/** A row of which a larger share of components is clipped is not found well. */
const CLIPPED_SHARE = 0.02;

/** Encodes up to `rowsMax` rows at a time into one array, which is reused. */
export class RowEncoder {
  readonly #dimension: number;
  readonly #isCosine: boolean;
  readonly #steps: Int8Array | undefined;
  readonly #floats: Float32Array;
  readonly #scale: number;
  readonly #limit: number;
  /** As it is taken off: with the scale; zeros where there is none. */
  readonly #centre: Float32Array;
  #clippedRows = 0;

  constructor(dimension: number, metric: Metric, encoding: Encoding, rowsMax: number) {
    const { quantization, scale, centre } = encoding;
    this.#dimension = dimension;
    this.#isCosine = metric === 'cosine';
    if (quantization === 'i8') {
      this.#steps = new Int8Array(rowsMax * dimension);
      this.#floats = new Float32Array(0);
      this.#scale = scale;
      this.#limit = STEP_MAX;
    } else {
      this.#floats = new Float32Array(rowsMax * dimension);
      // Rows of length 1 are in a good range as they are; not so what a centre leaves of them.
      this.#scale = this.#isCosine && centre === undefined ? 1 : floatScale(encoding);
      this.#limit = FLOAT_MAX[quantization];
    }
    this.#centre = new Float32Array(dimension);
    centre?.forEach((value, i) => (this.#centre[i] = value * this.#scale));
  }

  /** Rows so far that reach beyond the encoding, and are found less well for it. */
  get clippedRows(): number {
    return this.#clippedRows;
  }

  /** The encoded rows one after another; overwritten by the next call. */
  encode(vectors: Float32Array, firstRow: number, count: number): Int8Array | Float32Array {
    const dimension = this.#dimension;
    const target = this.#steps ?? this.#floats;
    for (let i = 0; i < count; i++) {
      const from = (firstRow + i) * dimension;
      const factor = this.#isCosine
        ? this.#scale / (norm(vectors, from, dimension) || 1)
        : this.#scale;
      const to = i * dimension;
      const clipped =
        this.#steps === undefined
          ? scaleRow(vectors, from, factor, this.#centre, this.#limit, this.#floats, to, dimension)
          : quantize(vectors, from, factor, this.#centre, this.#steps, to, dimension);
      if (clipped > dimension * CLIPPED_SHARE) this.#clippedRows++;
    }
    return target.subarray(0, count * dimension);
  }
}

/** Writes the nearest int8 steps of a row less the centre. @returns components beyond ±127 steps, which are clipped */
export function quantize(
  source: Float32Array,
  from: number,
  factor: number,
  centre: Float32Array,
  target: Int8Array,
  to: number,
  dimension: number,
): number {
  let clipped = 0;
  for (let i = 0; i < dimension; i++) {
    const value = source[from + i]! * factor - centre[i]!;
    if (value > STEP_MAX || value < -STEP_MAX) {
      clipped++;
      target[to + i] = value > 0 ? STEP_MAX : -STEP_MAX;
    } else {
      // Positive before it is cut to an integer: four times as fast as Math.round.
      target[to + i] = ((value + (STEP_MAX + 0.5)) | 0) - STEP_MAX;
    }
  }
  return clipped;
}

function scaleRow(
  source: Float32Array,
  from: number,
  factor: number,
  centre: Float32Array,
  limit: number,
  target: Float32Array,
  to: number,
  dimension: number,
): number {
  let clipped = 0;
  for (let i = 0; i < dimension; i++) {
    const value = source[from + i]! * factor - centre[i]!;
    if (value > limit || value < -limit) clipped++;
    target[to + i] = value > limit ? limit : value < -limit ? -limit : value;
  }
  return clipped;
}
