import type { PartitionId, SpaceId } from './ids.ts';

/** Partitions of a cluster unless it was made with another count. */
export const DEFAULT_PARTITION_COUNT = 64;

/**
 * FNV-1a with 32 bits over the bytes of an ASCII token. It is the hash behind the NATS server's
 * subject mapping function `partition(n, token)`, so a server-side mapping and this function agree.
 * Source: http://www.isthe.com/chongo/tech/comp/fnv/, nats-server `server/subject_transform.go`.
 */
export function fnv1a32(token: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < token.length; i++) {
    hash ^= token.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** The partition of a space; never changes for a given partition count. */
export function partitionOf(space: SpaceId, partitionCount: number): PartitionId {
  return (fnv1a32(space) % partitionCount) as PartitionId;
}
