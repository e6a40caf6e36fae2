import { createHash } from 'node:crypto';
import type { EncodedFrame } from '@engram/codec';
import type { SpaceId } from '@engram/model';

/**
 * The log knows an id once, whatever is under it: so the id has all that makes an entry what it is. The same
 * request in another space, in another lane or with other observations is another entry.
 */
export function messageIdOf(
  space: SpaceId,
  requestId: string,
  { lane, bytes }: Pick<EncodedFrame, 'lane' | 'bytes'>,
): string {
  return createHash('sha256')
    .update([space, lane, requestId.length, requestId, ''].join('\0'))
    .update(bytes)
    .digest('base64url');
}
