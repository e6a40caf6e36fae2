import { seededRandom } from '../random.ts';

/** What is stored under a version: made from it, so that nobody needs to remember it. */
export function embeddingOf(version: number, dimension: number): Float32Array {
  const random = seededRandom(version * 2_654_435_761);
  // Never near zero, which has no direction.
  return Float32Array.from({ length: dimension }, (_, i) => random() - 0.5 + (i === 0 ? 1 : 0));
}

export function base64Of(embedding: Float32Array): string {
  const { buffer, byteOffset, byteLength } = embedding;
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** Whether the numbers of an answer are, bit for bit, the version's. */
export function isEmbeddingOf(numbers: unknown, version: number, dimension: number): boolean {
  if (!Array.isArray(numbers) || numbers.length !== dimension) return false;
  const expected = embeddingOf(version, dimension);
  return numbers.every((number, i) => Object.is(Math.fround(Number(number)), expected[i]));
}
