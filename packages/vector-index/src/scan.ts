import assert from 'node:assert/strict';
import type { Metric } from '@engram/model';
import { norm } from './score.ts';
import { rowsOf, usearchAddon } from './usearch-addon.ts';

const METRIC = { cosine: 'cos', l2: 'l2sq', ip: 'ip' } as const;

/**
 * Length of a query of an inner product. The library compares `1 - dot` in float32, where small
 * products would drown; the ranking does not care how long the query is.
 */
const IP_QUERY_LENGTH = 2 ** 30;

/**
 * Exact SIMD scan: the `count` nearest of the first `rows` rows of a slab, nearest first, as row
 * numbers. They are ranked by float32 distances of the library; the caller re-scores in float64.
 * The slab must begin at byte 0 of an ArrayBuffer of its own, which is not shared between threads:
 * the library looks at nothing else. Any query will do.
 */
export function scan(
  slab: Float32Array,
  rows: number,
  query: Float32Array,
  count: number,
  metric: Metric,
): Uint32Array {
  const dimension = query.length;
  assert(slab.byteOffset === 0, 'a slab to scan begins at byte 0 of its buffer');
  assert(slab.buffer instanceof ArrayBuffer, 'a slab to scan is not shared');
  assert(dimension > 0 && rows * dimension <= slab.length, 'the slab has fewer rows');
  const wanted = Math.min(count, rows);
  if (wanted <= 0) return new Uint32Array(0);
  const [keys] = usearchAddon().exactSearch(
    slab.subarray(0, rows * dimension),
    queryOf(query, metric),
    dimension,
    wanted,
    METRIC[metric],
    1,
  );
  return rowsOf(keys, wanted);
}

/** The query at byte 0 of a buffer that the library reads. */
function queryOf(query: Float32Array, metric: Metric): Float32Array {
  if (metric === 'ip') {
    const factor = IP_QUERY_LENGTH / (norm(query, 0, query.length) || 1);
    return Float32Array.from(query, (component) => component * factor);
  }
  const isWhole = query.byteOffset === 0 && query.buffer instanceof ArrayBuffer;
  return isWhole ? query : Float32Array.from(query);
}
