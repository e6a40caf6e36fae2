import { DEFAULT_LANE, LIMITS } from '@engram/model';
import { FRAME_BYTES_MAX, type BatchOptions, type EncodedBatch } from './batch.ts';
import { decodeFrame } from './frame.ts';
import { parseJsonText } from './json.ts';
import { encodeMetadata } from './metadata.ts';
import { observationFault } from './observation-fault.ts';

/**
 * The batch of a frame that can go into the log as it came: nothing of it is refused, and it is not too
 * large for one. Undefined for any other, of which `encodeBatch` says what is wrong.
 * @throws ClusterError INVALID_FRAME
 */
export function passFrame(bytes: Uint8Array, options: BatchOptions): EncodedBatch | undefined {
  const { frameBytesMax = FRAME_BYTES_MAX, lane = DEFAULT_LANE } = options;
  if (bytes.length > frameBytesMax) return undefined;
  const frame = decodeFrame(bytes);
  const { putCount } = frame;
  if (putCount === 0 || putCount > LIMITS.batchCountMax || frame.deleteCount > 0) return undefined;
  const seen = new Set<string>();
  for (let index = 0; index < putCount; index++) {
    if (observationFault(frame, index, options) !== undefined) return undefined;
    if (!isAsEncoded(frame.metadata(index))) return undefined;
    seen.add(frame.id(index));
  }
  if (seen.size < putCount) return undefined;
  return { frames: [{ lane, bytes, count: putCount }], accepted: putCount, errors: [] };
}

/** Whether metadata is, to the letter, what would be made of it: so it has the same size, keys and numbers. */
function isAsEncoded(text: string | undefined): boolean {
  if (text === undefined) return true;
  try {
    const encoded = encodeMetadata(parseJsonText(text));
    return 'text' in encoded && encoded.text === text;
  } catch {
    return false; // a key that is not allowed
  }
}
