// How observations travel: as a batch frame where they fit into one, which the cluster reads in place,
// else as JSON, in which the cluster can name what is wrong with each of them.

import { encodeFrame } from '@engram/codec/frame-encoder';
import type { Lane, Observation } from '@engram/model';
import { jsonOf, wireOf } from './observations.ts';
import type { EmbeddingEncoding } from './types.ts';

export interface Body {
  readonly content: string | Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** Of all of them, where the body itself cannot say so. */
  readonly lane?: Lane;
}

const FRAME = 'application/vnd.engram.frame';
const JSON_TYPE = 'application/json';
const FIELDS = new Set(['id', 'embedding', 'metadata', 'timestamp', 'lane']);
/** A frame has the numbers of this machine as they are, and says they are little-endian. */
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * @param encoding of embeddings in JSON, where that is asked for; the body is then JSON
 * @throws TypeError that names the observation of which no JSON can be made
 */
export function encodeBody(
  observations: readonly Observation[],
  encoding: EmbeddingEncoding | undefined,
): Body {
  const frame = encoding === undefined ? frameOf(observations) : undefined;
  if (frame !== undefined) return frame;
  const content = jsonOf(
    { observations: observations.map((each) => wireOf(each, encoding ?? 'base64')) },
    observations,
  );
  return { content, contentType: JSON_TYPE };
}

/** Undefined where a frame would say less, or something else, than what was given. */
function frameOf(observations: readonly Observation[]): Body | undefined {
  const first: Partial<Observation> | null | undefined = observations[0];
  const dimension = first?.embedding?.length ?? 0;
  if (!first || !IS_LITTLE_ENDIAN || dimension === 0) return undefined;
  if (!observations.every((each) => fits(each, dimension, first.lane))) return undefined;
  const embeddings = new Float32Array(observations.length * dimension);
  observations.forEach(({ embedding }, i) => {
    embeddings.set(embedding as readonly number[] | Float32Array, i * dimension);
  });
  if (!areFinite(embeddings)) return undefined;
  const content = encodeFrame({
    dimension,
    ids: observations.map(({ id }) => id),
    deletes: [],
    embeddings,
    timestamps: observations.map(({ timestamp }) => timestamp ?? NaN),
    metadata: observations.map(({ metadata }) =>
      metadata === undefined || metadata === null ? undefined : jsonOf(metadata, observations),
    ),
  });
  return { content, contentType: FRAME, ...(first.lane === undefined ? {} : { lane: first.lane }) };
}

/** In one pass without a branch: `every` took ten times as long. */
function areFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! * 0; // NaN for what is not finite
  return sum === 0;
}

function fits(
  observation: { readonly [K in keyof Observation]?: unknown } | null | undefined,
  dimension: number,
  laneOfAll: Lane | undefined,
): boolean {
  if (typeof observation !== 'object' || observation === null) return false;
  const { id, embedding, timestamp, lane } = observation;
  return (
    // A frame has no half of a pair of surrogates.
    typeof id === 'string' &&
    id.isWellFormed() &&
    lane === laneOfAll &&
    (timestamp === undefined || Number.isFinite(timestamp)) &&
    Object.keys(observation).every((key) => FIELDS.has(key)) &&
    (embedding instanceof Float32Array
      ? embedding.length === dimension
      : Array.isArray(embedding) &&
        embedding.length === dimension &&
        embedding.every((value) => typeof value === 'number'))
  );
}
