// Placement: a pure function of the members, so that every gateway and shard computes the same
// owners without asking anyone.
//
//   R1. Same members and partition count → same owners, whatever the order of the members.
//   R2. No shard owns more than ceil(LOAD_FACTOR · P · RF / N) partitions.
//   R3. Every partition has min(RF, N) different owners.

import type { MemberId, PartitionId } from '@engram/model';
import HashRing from 'hashring';

/**
 * Bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): 1.25 keeps the fullest shard within a
 * quarter of the mean while a join still moves little more than its share.
 */
const LOAD_FACTOR = 1.25;

export interface Assignment {
  readonly partitionCount: number;
  /** The owners of a partition, first the preferred one; empty without members. */
  owners(partition: PartitionId): readonly MemberId[];
  /** The partitions of a shard, in ascending order. */
  partitionsOf(shard: MemberId): readonly PartitionId[];
}

/** Assigns every partition of the cluster to `replication` of the shards. */
export function assign(
  shards: readonly MemberId[],
  partitionCount: number,
  replication = 1,
): Assignment {
  const members = [...new Set(shards)].sort();
  const copies = Math.min(replication, members.length);
  const cap = Math.ceil((LOAD_FACTOR * partitionCount * copies) / Math.max(1, members.length));
  const owners: MemberId[][] = [];
  const owned = new Map<MemberId, PartitionId[]>(members.map((member) => [member, []]));
  const ring = members.length === 0 ? undefined : new HashRing([...members], 'md5');
  for (let p = 0; p < partitionCount; p++) {
    const partition = p as PartitionId;
    const candidates = (ring?.range(`partition-${p}`, members.length) ?? []) as MemberId[];
    // R2 and R3 together: a member with room for all that is left may be passed over only as long
    // as the room of the others still gives every later partition its different owners.
    const left = partitionCount - p;
    const room = (member: MemberId) => cap - (owned.get(member)?.length ?? cap);
    const isNeeded = (member: MemberId) => room(member) >= left;
    const places = candidates.reduce((sum, member) => sum + Math.min(room(member), left), 0);
    const spare = places - copies * left;
    let needed = Math.max(0, candidates.filter(isNeeded).length - spare);
    const chosen: MemberId[] = [];
    for (const candidate of candidates) {
      if (chosen.length === copies) break;
      if (room(candidate) <= 0) continue;
      if (isNeeded(candidate)) needed--;
      else if (copies - chosen.length <= needed) continue;
      owned.get(candidate)?.push(partition);
      chosen.push(candidate);
    }
    owners.push(chosen);
  }
  return {
    partitionCount,
    owners: (partition) => owners[partition] ?? [],
    partitionsOf: (shard) => owned.get(shard) ?? [],
  };
}
