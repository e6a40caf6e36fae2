// Placement: a pure function of the members, so that every gateway and shard computes the same
// owners without asking anyone.
//
//   R1. Same members, partition count and replication → same owners, whatever the order of the members.
//   R2. No shard owns more than ceil(LOAD_FACTOR · P · RF / N) partitions.
//   R3. Every partition has min(RF, N) different owners.

import type { MemberId, PartitionId } from '@engram/model';
import { Ring } from './ring.ts';

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
  const owners: MemberId[][] = Array.from({ length: partitionCount }, () => []);
  const load = new Map<MemberId, number>(members.map((member) => [member, 0]));
  const room = (member: MemberId) => cap - load.get(member)!;
  for (const [done, { partition, candidates }] of placingOrder(members, partitionCount).entries()) {
    // R2 and R3 together: a member with room for all that is left may be passed over only as long
    // as the room of the others still gives every later partition its different owners.
    const left = partitionCount - done;
    const isNeeded = (member: MemberId) => room(member) >= left;
    const places = candidates.reduce((sum, member) => sum + Math.min(room(member), left), 0);
    const spare = places - copies * left;
    let needed = Math.max(0, candidates.filter(isNeeded).length - spare);
    const chosen = owners[partition]!;
    for (const candidate of candidates) {
      if (chosen.length === copies) break;
      if (room(candidate) <= 0) continue;
      if (isNeeded(candidate)) needed--;
      else if (copies - chosen.length <= needed) continue;
      load.set(candidate, load.get(candidate)! + 1);
      chosen.push(candidate);
    }
  }
  const owned = new Map<MemberId, PartitionId[]>(members.map((member) => [member, []]));
  for (const [partition, ids] of owners.entries())
    for (const id of ids) owned.get(id)!.push(partition as PartitionId);
  return {
    partitionCount,
    owners: (partition) => owners[partition] ?? [],
    partitionsOf: (shard) => owned.get(shard) ?? [],
  };
}

/**
 * The partitions with their candidates, those nearest to their first one first. Who comes late finds
 * its first candidate full and goes elsewhere; that should be who lies farthest from it, because a
 * new member most probably takes that one anyway, and then nobody has to move back.
 */
function placingOrder(members: readonly MemberId[], partitionCount: number) {
  if (members.length === 0) return [];
  const ring = new Ring(members);
  return Array.from({ length: partitionCount }, (_, partition) => ({
    partition,
    ...ring.place(`partition-${partition}`),
  })).sort((left, right) => left.distance - right.distance || left.partition - right.partition);
}
