import { createHash } from 'node:crypto';
import type { SpaceConfig } from '@engram/model';

/**
 * An id in the log of what has these names and this content. The log knows an id once, whatever is under it:
 * so it is made of all that makes an entry what it is.
 * @param content hashed in this order
 */
export function entryKey(
  names: readonly (string | number)[],
  ...content: readonly (string | Uint8Array)[]
): string {
  const hash = createHash('sha256');
  hash.update([...names, ''].join('\0'));
  for (const part of content) hash.update(part);
  return hash.digest('hex');
}

/**
 * What a request of a client is called in the log: by the space, which one of those that had its name it is,
 * and what is given of its content.
 * @param id what the client calls it
 */
export function requestKey(
  { space, afterSequence, createdAt }: SpaceConfig,
  id: string,
  ...content: readonly (string | Uint8Array)[]
): string {
  return entryKey([space, afterSequence, createdAt, id.length, id], ...content);
}
