// Exact similarity, the same numbers whichever way a row was found: higher is nearer.

import type { Metric } from '@engram/model';

/** Dot product of a row in a slab with a query. Primitives only, so V8 keeps it monomorphic. */
export function dot(
  slab: Float32Array,
  offset: number,
  query: Float32Array,
  dimension: number,
): number {
  let a = 0;
  let b = 0;
  let i = 0;
  // Two sums shorten the chain of additions that each wait for the one before.
  for (; i + 1 < dimension; i += 2) {
    a += slab[offset + i]! * query[i]!;
    b += slab[offset + i + 1]! * query[i + 1]!;
  }
  if (i < dimension) a += slab[offset + i]! * query[i]!;
  return a + b;
}

export function squaredDistance(
  slab: Float32Array,
  offset: number,
  query: Float32Array,
  dimension: number,
): number {
  let sum = 0;
  for (let i = 0; i < dimension; i++) {
    const difference = slab[offset + i]! - query[i]!;
    sum += difference * difference;
  }
  return sum;
}

/** Length of a vector; the cosine of two is their dot product over both lengths. */
export function norm(slab: Float32Array, offset: number, dimension: number): number {
  let sum = 0;
  for (let i = 0; i < dimension; i++) sum += slab[offset + i]! * slab[offset + i]!;
  return Math.sqrt(sum);
}

/**
 * Exact rank of one row: higher is nearer (cosine similarity, inner product, or minus the squared
 * distance).
 * @param queryNorm length of the query; looked at for cosine only
 */
export function rank(
  metric: Metric,
  slab: Float32Array,
  offset: number,
  query: Float32Array,
  queryNorm: number,
  dimension: number,
): number {
  switch (metric) {
    case 'cosine':
      return cosine(slab, offset, query, queryNorm, dimension);
    case 'ip':
      return dot(slab, offset, query, dimension);
    case 'l2':
      return -squaredDistance(slab, offset, query, dimension);
  }
}

/** The row's own length comes out of the same pass. A row without a direction is like nothing. */
function cosine(
  slab: Float32Array,
  offset: number,
  query: Float32Array,
  queryNorm: number,
  dimension: number,
): number {
  let product = 0;
  let squares = 0;
  for (let i = 0; i < dimension; i++) {
    const component = slab[offset + i]!;
    product += component * query[i]!;
    squares += component * component;
  }
  const lengths = Math.sqrt(squares) * queryNorm;
  return lengths > 0 ? product / lengths : 0;
}

/** From the order in which rows are ranked to the score that a user sees: l2 becomes a distance. */
export function publicScore(metric: Metric, rank: number): number {
  return metric === 'l2' ? Math.sqrt(Math.max(0, -rank)) : rank;
}
