// What callers give, which from plain JavaScript may be anything. What is no list of observations is refused
// here, at once; what is wrong in one of them is for the cluster to say, by its index.

import type { Observation } from '@engram/model';
import { encodeEmbedding } from './embedding.ts';
import type { EmbeddingEncoding } from './types.ts';

/** @throws TypeError for anything but a list */
export function listOf(given: unknown): readonly Observation[] {
  if (Array.isArray(given)) return given as readonly Observation[];
  throw new TypeError(`give a list of observations, as [{ id, embedding }], not ${kindOf(given)}`);
}

/** @throws TypeError for what cannot be an observation: a list of them, or no object */
export function oneOf(given: unknown): Observation {
  if (typeof given === 'object' && given !== null && !Array.isArray(given))
    return given as Observation;
  throw new TypeError(`give one observation, as { id, embedding }, not ${kindOf(given)}`);
}

/** As JSON carries it. What is no object goes as it came: the cluster refuses it by its index. */
export function wireOf(observation: Observation, encoding: EmbeddingEncoding): unknown {
  if (typeof observation !== 'object' || (observation as unknown) === null) return observation;
  return { ...observation, embedding: encodeEmbedding(observation.embedding, encoding) };
}

/**
 * The JSON of what was made of observations.
 * @param offset of the first of them in what the caller gave
 * @throws TypeError that names the observation of which none can be made: of a BigInt, or of a circle
 */
export function jsonOf(value: unknown, observations: readonly Observation[], offset = 0): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    assertJson(observations, offset);
    throw error;
  }
}

/** @throws TypeError that names the first observation whose metadata or rest cannot be JSON */
export function assertJson(observations: readonly Observation[], offset = 0): void {
  observations.forEach((observation, index) => {
    // An embedding may be long, and a wrong one has errors of its own.
    const { embedding: _numbers, ...rest }: Partial<Observation> = { ...observation };
    try {
      JSON.stringify(rest);
    } catch (cause) {
      throw new TypeError(
        `observation ${index + offset} cannot be written as JSON: ${why(cause)}`,
        {
          cause,
        },
      );
    }
  });
}

export function why(cause: unknown): string {
  return cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
}

function kindOf(given: unknown): string {
  if (given === null) return 'null';
  if (Array.isArray(given)) return 'a list';
  return typeof given === 'object' ? 'one object' : typeof given;
}
