// Which partitions a shard holds, decided from the view. Pure.
//
//   O1. A shard holds what the ring assigns to it.
//   O2. It keeps what the ring took away until every owner says that it is ready, so that at no moment
//       of a planned move fewer shards answer for the partition than before or after it.

import type { MemberId, PartitionId } from '@engram/model';
import type { Assignment } from '@engram/ring';
import type { ClusterView } from '@engram/membership';

export function partitionsToHold(
  self: MemberId,
  assignment: Assignment,
  view: ClusterView,
  held: Iterable<PartitionId>,
): Set<PartitionId> {
  const wanted = new Set(assignment.partitionsOf(self)); // O1
  for (const partition of held) {
    if (wanted.has(partition)) continue;
    const successors = assignment.owners(partition);
    const isTakenOver =
      successors.length > 0 &&
      successors.every((id) => view.members.get(id)?.ready.has(partition) === true);
    if (!isTakenOver) wanted.add(partition); // O2
  }
  return wanted;
}

/**
 * Whom to ask about a partition, best first: the assigned owners that are ready, then any other
 * member that says it is (the old owner of a move), then owners that are still reading the log.
 */
export function candidates(
  partition: PartitionId,
  assignment: Assignment,
  view: ClusterView,
): { readonly ready: readonly MemberId[]; readonly catchingUp: readonly MemberId[] } {
  const owners = assignment.owners(partition);
  const ready = owners.filter((id) => view.members.get(id)?.ready.has(partition) === true);
  for (const member of view.members.values())
    if (member.ready.has(partition) && !ready.includes(member.id)) ready.push(member.id);
  return { ready, catchingUp: owners.filter((id) => !ready.includes(id)) };
}
