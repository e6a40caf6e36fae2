import { encodingOf, type Encoding, type GraphOptions } from '@engram/vector-index';

/** Components from which it is told how rows are encoded: 43 rows of 768 dimensions, 1 ms. */
const SAMPLE_FLOATS = 32_768;

/**
 * How rows are encoded, told from some that are taken evenly from all.
 * @param read writes the embedding of a row to the beginning of `into`; rows come in ascending order
 */
export function sampledEncoding(
  rows: number,
  options: GraphOptions,
  read: (row: number, into: Float32Array) => void,
): Encoding {
  const { dimension } = options;
  const count = Math.min(rows, Math.ceil(SAMPLE_FLOATS / dimension));
  const sample = new Float32Array(count * dimension);
  for (let i = 0; i < count; i++)
    read(Math.floor((i * rows) / count), sample.subarray(i * dimension));
  return encodingOf(sample, count, options);
}
