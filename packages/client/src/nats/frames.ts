import { encodeBatch, type EncodedBatch } from '@engram/codec';
import type { Lane, Observation } from '@engram/model';
import { assertJson } from '../observations.ts';

/**
 * The frames of a batch, and what stands against the observations that are in none, as a gateway would say it.
 * Nobody here knows the space: the dimension is that of the first observation that has an embedding.
 * @throws TypeError for what cannot be JSON
 */
export function framesOf(observations: readonly Observation[], lane: Lane): EncodedBatch {
  assertJson(observations);
  const items = observations.map((value, index) => ({ value, pointer: `/observations/${index}` }));
  const lengths = observations.map(lengthOf);
  const dimension = lengths.find((length) => length > 0) ?? 1;
  const batch = encodeBatch(items, {
    dimension,
    // The zero vector is for the shard to judge, which knows the metric.
    metric: 'ip',
    lane,
  });
  const errors = batch.errors.map((error) =>
    error.code === 'DIMENSION_MISMATCH'
      ? {
          ...error,
          detail: `the embedding has ${lengths[error.index]} values and differs from the first of the batch, which has ${dimension}`,
        }
      : error,
  );
  return { ...batch, errors };
}

/** Of its embedding; 0 where it has none: the observation is then refused by name. */
function lengthOf(observation: Partial<Observation> | null | undefined): number {
  const embedding: unknown = observation?.embedding;
  // Whole float32 values of base64 with padding; what is none is refused by name.
  if (typeof embedding === 'string')
    return Math.floor((embedding.replace(/=+$/, '').length * 3) / 16);
  const isList = Array.isArray(embedding) || embedding instanceof Float32Array;
  return isList ? embedding.length : 0;
}
