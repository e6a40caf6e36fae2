// Brings float32 rows and queries into the form that a graph compares:
//
//  E1 For cosine the row gets the length 1, so that every engine compares by its inner product or
//     its squared distance and none normalises by itself.
//  E2 The scale brings typical components of the other metrics to ±1 before they are narrowed:
//     `1 - dot`, which engines compare, would drown small products, and f16 ends at 65,504.
//  E3 What is farther out is clipped, never infinite. A graph only proposes rows: a clipped outlier
//     is found a little less well and scored exactly, while one infinity would spoil its neighbours.

import type { Metric, Quantization } from '@engram/model';
import { STEP_MAX } from './quantization.ts';
import { norm } from './score.ts';

/**
 * Far above any component that the scale has seen. f16 ends at 65,504; of the others, 4,096 squares
 * of differences still add up within a float32.
 */
const FLOAT_MAX = { f16: 65_504, bf16: 1e17, f32: 1e17 } as const;

/** Encodes up to `rowsMax` rows at a time into one array, which is reused. */
export class RowEncoder {
  readonly rowsMax: number;
  readonly #dimension: number;
  readonly #isCosine: boolean;
  readonly #steps: Int8Array | undefined;
  readonly #floats: Float32Array;
  readonly #scale: number;
  readonly #limit: number;

  constructor(
    dimension: number,
    metric: Metric,
    quantization: Quantization,
    scale: number,
    rowsMax: number,
  ) {
    this.rowsMax = rowsMax;
    this.#dimension = dimension;
    this.#isCosine = metric === 'cosine';
    if (quantization === 'i8') {
      this.#steps = new Int8Array(rowsMax * dimension);
      this.#floats = new Float32Array(0);
      this.#scale = scale;
      this.#limit = STEP_MAX;
    } else {
      this.#floats = new Float32Array(rowsMax * dimension);
      this.#scale = this.#isCosine ? 1 : scale / STEP_MAX;
      this.#limit = FLOAT_MAX[quantization];
    }
  }

  /** The encoded rows one after another; overwritten by the next call. */
  encode(vectors: Float32Array, firstRow: number, count: number): Int8Array | Float32Array {
    const dimension = this.#dimension;
    for (let i = 0; i < count; i++) {
      const from = (firstRow + i) * dimension;
      const factor = this.#isCosine
        ? this.#scale / (norm(vectors, from, dimension) || 1)
        : this.#scale;
      const to = i * dimension;
      if (this.#steps !== undefined) quantize(vectors, from, factor, this.#steps, to, dimension);
      else scaleRow(vectors, from, factor, this.#limit, this.#floats, to, dimension);
    }
    return (this.#steps ?? this.#floats).subarray(0, count * dimension);
  }
}

/** Writes the nearest int8 steps of a row; components beyond ±127 steps are clipped. */
export function quantize(
  source: Float32Array,
  from: number,
  factor: number,
  target: Int8Array,
  to: number,
  dimension: number,
): void {
  for (let i = 0; i < dimension; i++) {
    const value = source[from + i]! * factor;
    // Positive before it is cut to an integer: four times as fast as Math.round.
    target[to + i] =
      value > STEP_MAX
        ? STEP_MAX
        : value < -STEP_MAX
          ? -STEP_MAX
          : ((value + (STEP_MAX + 0.5)) | 0) - STEP_MAX;
  }
}

function scaleRow(
  source: Float32Array,
  from: number,
  factor: number,
  limit: number,
  target: Float32Array,
  to: number,
  dimension: number,
): void {
  for (let i = 0; i < dimension; i++) {
    const value = source[from + i]! * factor;
    target[to + i] = value > limit ? limit : value < -limit ? -limit : value;
  }
}
