import type { MemberId, PartitionId } from '@engram/model';
import { assign } from './assignment.ts';
import type { Placed } from './placement.ts';

/** Partitions that one shard gives and another takes; `from` is null where nobody gives a copy up. */
export interface PlannedMove {
  readonly from: MemberId | null;
  readonly to: MemberId;
  readonly partitions: readonly PartitionId[];
}

export interface RingPlan {
  readonly moves: readonly PlannedMove[];
  /** Copies of partitions that some shard has to read. */
  readonly moving: number;
  /** As few as could be with even loads: what those who join take, or those who leave had. */
  readonly ideal: number;
  /** Partitions of each shard before and after, by id. */
  readonly loads: readonly {
    readonly id: MemberId;
    readonly before: number;
    readonly after: number;
  }[];
}

/** What moves when the one becomes the other. */
export function planMoves(before: Placed, after: Placed, partitionCount: number): RingPlan {
  const old = assign(before.shards, partitionCount, before.replication);
  const next = assign(after.shards, partitionCount, after.replication);
  const groups = new Map<string, { from: MemberId | null; to: MemberId; partitions: number[] }>();
  let moving = 0;
  for (let p = 0 as PartitionId; p < partitionCount; p++) {
    const [from, to] = [old.owners(p), next.owners(p)];
    const givers = from.filter((id) => !to.includes(id));
    for (const [i, taker] of to.filter((id) => !from.includes(id)).entries()) {
      const giver = givers[i] ?? null;
      const key = `${giver ?? ''} ${taker}`;
      const group = groups.get(key) ?? { from: giver, to: taker, partitions: [] };
      groups.set(key, group);
      group.partitions.push(p);
      moving++;
    }
  }
  const ids = [...new Set([...before.shards, ...after.shards])].sort();
  return {
    moves: [...groups.values()].map((group) => ({
      ...group,
      partitions: group.partitions as PartitionId[],
    })),
    moving,
    ideal: idealMoves(before, after, partitionCount),
    loads: ids.map((id) => ({
      id,
      before: old.partitionsOf(id).length,
      after: next.partitionsOf(id).length,
    })),
  };
}

function idealMoves(before: Placed, after: Placed, partitionCount: number): number {
  const copies = (placed: Placed) =>
    partitionCount * Math.min(placed.replication, placed.shards.length);
  const joining = after.shards.filter((id) => !before.shards.includes(id)).length;
  const leaving = before.shards.filter((id) => !after.shards.includes(id)).length;
  const taken = (copies(after) * joining) / Math.max(1, after.shards.length);
  const left = (copies(before) * leaving) / Math.max(1, before.shards.length);
  // What leaves for good with copies that nobody else could keep need not be read by anyone.
  return Math.max(taken, left + copies(after) - copies(before), 0);
}
