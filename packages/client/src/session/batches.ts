import { ClusterError, type Observation } from '@engram/model';
import { jsonOf, wireOf } from '../observations.ts';

const UTF8 = new TextEncoder(); // browsers have no Buffer

/** What a gateway takes in one message. */
export interface BatchLimits {
  readonly batchItemsMax: number;
  readonly messageBytesMax: number;
}

export interface EncodedBatch {
  readonly text: string;
  readonly bytes: number;
  /** Place of its first observation in what was to be sent. */
  readonly offset: number;
  readonly items: number;
}

/**
 * The message that has as many observations from a place on as fit into one.
 * @throws ClusterError OBSERVATION_TOO_LARGE, BATCH_TOO_LARGE where it has to be whole
 * @throws TypeError that names the observation of which no JSON can be made
 */
export function encodeBatch(
  seq: number,
  observations: readonly Observation[],
  offset: number,
  limits: BatchLimits,
  isAtomic: boolean,
): EncodedBatch {
  let items = Math.min(observations.length - offset, limits.batchItemsMax);
  for (;;) {
    const given = observations.slice(offset, offset + items);
    const batch = given.map((each) => wireOf(each, 'base64'));
    const text = jsonOf({ type: 'batch', seq, observations: batch }, given, offset);
    const bytes = UTF8.encode(text).length;
    const isWhole = items === observations.length;
    if (bytes <= limits.messageBytesMax && (isWhole || !isAtomic))
      return { text, bytes, offset, items };
    if (isAtomic)
      throw new ClusterError('BATCH_TOO_LARGE', 'the batch does not fit into one message', {
        hint: `an atomic one has at most ${limits.batchItemsMax} observations and ${limits.messageBytesMax} bytes`,
      });
    if (items <= 1)
      throw new ClusterError(
        'OBSERVATION_TOO_LARGE',
        `observation ${offset} does not fit into a message of ${limits.messageBytesMax} bytes`,
      );
    items = Math.ceil(items / 2);
  }
}
