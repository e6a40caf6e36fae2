import type { EncodedFrame } from '@engram/codec';
import { entryKey } from '@engram/log';
import type { SpaceId } from '@engram/model';

/** The same request in another space, in another lane or with other observations is another entry. */
export function messageIdOf(
  space: SpaceId,
  requestId: string,
  { lane, bytes }: Pick<EncodedFrame, 'lane' | 'bytes'>,
): string {
  return entryKey([space, lane, requestId.length, requestId], bytes);
}
