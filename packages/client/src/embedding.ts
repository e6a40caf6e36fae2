import type { Observation } from '@engram/model';
import type { EmbeddingEncoding } from './types.ts';

type Embedding = Observation['embedding'];

/**
 * An embedding as the body carries it. What is not a list of finite float32 values is passed on
 * as it came, so that the cluster refuses it by its index: a conversion would make null into 0.
 */
export function encodeEmbedding(
  embedding: Embedding,
  encoding: EmbeddingEncoding,
): string | readonly number[] {
  if (typeof embedding === 'string') return embedding;
  if (encoding === 'numbers') return numbersOf(embedding);
  if (!Array.isArray(embedding) && !(embedding instanceof Float32Array)) return embedding;
  if (!embedding.every((value) => typeof value === 'number' && Number.isFinite(Math.fround(value))))
    return numbersOf(embedding);
  const bytes = Buffer.alloc(embedding.length * 4);
  // Written one by one, since the memory of a Float32Array has the byte order of this machine.
  for (let i = 0; i < embedding.length; i++) bytes.writeFloatLE(embedding[i] as number, i * 4);
  return bytes.toString('base64');
}

/** JSON of a Float32Array is an object, not a list. */
export function numbersOf(embedding: readonly number[] | Float32Array): readonly number[] {
  return embedding instanceof Float32Array ? Array.from(embedding) : embedding;
}

/** The embedding of an answer, in either form; undefined when there is none. */
export function decodeEmbedding(value: unknown): Float32Array | undefined {
  if (Array.isArray(value)) return Float32Array.from(value as number[]);
  if (typeof value !== 'string') return undefined;
  const bytes = Buffer.from(value, 'base64');
  return Float32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readFloatLE(i * 4));
}
