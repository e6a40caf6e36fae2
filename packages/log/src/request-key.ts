import { createHash } from 'node:crypto';
import type { SpaceConfig } from '@engram/model';

/**
 * What a request of a client is called in the log. The log knows a message id once, whatever is under it: so
 * the key has the space, and which one of those that had its name, and what is given of its content.
 * @param id what the client calls it
 * @param content hashed in this order
 */
export function requestKey(
  { space, afterSequence, createdAt }: SpaceConfig,
  id: string,
  ...content: readonly (string | Uint8Array)[]
): string {
  const hash = createHash('sha256');
  hash.update([space, afterSequence, createdAt, id.length, id, ''].join('\0'));
  for (const part of content) hash.update(part);
  return hash.digest('hex');
}
