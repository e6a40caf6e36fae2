// How the rows of a graph are narrowed, told from a sample of them.

import type { Metric, Quantization } from '@engram/model';
import { quantizationScale, STEP_MAX } from './quantization.ts';
import { norm } from './score.ts';

export interface Encoding {
  /** As the space asks, or f16 where int8 would leave nothing of some rows. */
  readonly quantization: Quantization;
  readonly scale: number;
  /**
   * Taken off every row and query, for rows that lie together far from 0: what they have in common
   * would take most of the steps. Distances are Euclidean then, which no shift changes.
   */
  readonly centre: Float32Array | undefined;
}

/** Rows are centred where that makes their components smaller by this factor at least. */
const CENTRED_GAIN = 0.6;
/** A row with no component of as many steps is hardly more than 0 as int8. */
const STEPS_MIN = 6;
/** Share of such rows in a sample from which on they are worth two bytes a component. */
const VANISHING_SHARE = 0.02;

/** @param sample `count` embeddings, taken evenly from all, one after another from element 0 */
export function encodingOf(
  sample: Float32Array,
  count: number,
  options: {
    readonly dimension: number;
    readonly metric: Metric;
    readonly quantization: Quantization;
  },
): Encoding {
  const { dimension, metric, quantization } = options;
  const plain = quantizationScale(sample, count, dimension, metric);
  // An inner product changes with a shift; f32 has precision enough.
  if (metric === 'ip' || quantization === 'f32') return finer(sample, count, options, plain);
  const centred = new Float32Array(count * dimension);
  const centre = new Float32Array(dimension);
  for (let row = 0; row < count; row++) {
    const from = row * dimension;
    const length = metric === 'cosine' ? norm(sample, from, dimension) || 1 : 1;
    for (let i = 0; i < dimension; i++) {
      const value = sample[from + i]! / length;
      centred[from + i] = value;
      centre[i] = centre[i]! + value / count;
    }
  }
  for (let from = 0; from < centred.length; from += dimension)
    for (let i = 0; i < dimension; i++) centred[from + i] = centred[from + i]! - centre[i]!;
  const scale = quantizationScale(centred, count, dimension, 'l2');
  if (plain > scale * CENTRED_GAIN) return finer(sample, count, options, plain);
  return { ...finer(centred, count, { ...options, metric: 'l2' }, scale), centre };
}

function finer(
  sample: Float32Array,
  count: number,
  { dimension, metric, quantization }: Parameters<typeof encodingOf>[2],
  scale: number,
): Encoding {
  if (quantization !== 'i8') return { quantization, scale, centre: undefined };
  let vanishing = 0;
  for (let row = 0; row < count; row++) {
    const from = row * dimension;
    const length = metric === 'cosine' ? norm(sample, from, dimension) : 1;
    let most = 0;
    for (let i = from; i < from + dimension; i++) most = Math.max(most, Math.abs(sample[i]!));
    if (most > 0 && (most / length) * scale < STEPS_MIN) vanishing++;
  }
  const isCoarse = vanishing > count * VANISHING_SHARE;
  return { quantization: isCoarse ? 'f16' : 'i8', scale, centre: undefined };
}

/** Factor to the range that float formats are used in: typical components come to ±1. */
export function floatScale({ scale }: Encoding): number {
  return scale / STEP_MAX;
}
