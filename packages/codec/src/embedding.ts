import type { ErrorCode, Metric } from '@engram/model';

/** Why an embedding was refused. */
export interface EmbeddingFault {
  readonly code: ErrorCode;
  readonly detail: string;
}

/**
 * Distances are float32 in the engines: beyond this the square of a difference of two embeddings
 * overflows to Infinity, and a heap that meets Infinity or NaN loses its order. 4 × 8e37 < 3.4e38.
 */
const SQUARED_NORM_MAX = 8e37;
/** Below this a float32 norm has lost its digits, so the direction is noise. */
const SQUARED_NORM_MIN = 1e-30;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Reads an embedding given as numbers, base64 of little-endian float32, or bytes of the same, into
 * `slab` at `offset`. What is written on a fault is undefined.
 */
export function writeEmbedding(
  value: unknown,
  dimension: number,
  slab: Float32Array,
  offset: number,
): EmbeddingFault | undefined {
  if (Array.isArray(value)) {
    if (value.length !== dimension) return wrongLength(value.length, dimension);
    for (let i = 0; i < dimension; i++) {
      const component: unknown = value[i];
      if (typeof component !== 'number')
        return invalid(
          `value ${i} is ${component === null ? 'null' : typeof component}, not a number`,
        );
      slab[offset + i] = component;
    }
    return undefined;
  }
  if (typeof value === 'string') {
    if (value.length % 4 !== 0 || !BASE64.test(value))
      return invalid('the text is not base64 with padding');
    return writeBytes(Buffer.from(value, 'base64'), dimension, slab, offset);
  }
  if (value instanceof Float32Array) {
    if (value.length !== dimension) return wrongLength(value.length, dimension);
    slab.set(value, offset);
    return undefined;
  }
  if (value instanceof Uint8Array) return writeBytes(value, dimension, slab, offset);
  return invalid('it must be an array of numbers, or base64 of little-endian float32');
}

function writeBytes(
  bytes: Uint8Array,
  dimension: number,
  slab: Float32Array,
  offset: number,
): EmbeddingFault | undefined {
  if (bytes.length % 4 !== 0) return invalid(`${bytes.length} bytes are no whole float32 values`);
  if (bytes.length !== dimension * 4) return wrongLength(bytes.length / 4, dimension);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < dimension; i++) slab[offset + i] = view.getFloat32(i * 4, true);
  return undefined;
}

/**
 * Whether a stored embedding can be compared: all values finite, its norm inside what float32
 * distances bear, and a direction where the metric needs one.
 */
export function embeddingFault(
  slab: Float32Array,
  offset: number,
  dimension: number,
  metric: Metric,
): EmbeddingFault | undefined {
  let squaredNorm = 0;
  for (let i = 0; i < dimension; i++) {
    const component = slab[offset + i]!;
    squaredNorm += component * component;
  }
  if (squaredNorm <= SQUARED_NORM_MAX) {
    if (metric === 'cosine' && squaredNorm < SQUARED_NORM_MIN)
      return {
        code: 'ZERO_EMBEDDING',
        detail: 'a zero vector has no direction, which the metric cosine compares',
      };
    return undefined;
  }
  for (let i = 0; i < dimension; i++) {
    const component = slab[offset + i]!;
    if (Number.isNaN(component)) return invalid(`value ${i} is NaN`);
    if (!Number.isFinite(component)) return invalid(`value ${i} is not finite as float32`);
  }
  return invalid('its squared norm is above 8e37, so float32 distances would overflow');
}

function invalid(detail: string): EmbeddingFault {
  return { code: 'INVALID_EMBEDDING', detail };
}

function wrongLength(got: number, expected: number): EmbeddingFault {
  if (got === 0) return invalid('it is empty');
  return {
    code: 'DIMENSION_MISMATCH',
    detail: `it has ${got} values, the space takes ${expected}`,
  };
}
