// How evenly a ring spreads spaces. They are few beside what a law of large numbers wants: with 100 spaces on
// four shards the fullest has a third instead of a quarter.

import { fnv1a32, partitionOf, type MemberId, type SpaceId } from '@engram/model';
import { assign } from '@engram/ring';

export interface Spread {
  readonly spaces: number;
  readonly shards: number;
  readonly copies: number;
  readonly partitions: number;
  /** Threads of a shard. */
  readonly workers: number;
}

export interface Shares {
  /** Of all copies of all that is written, what the shard with the most has. */
  readonly shard: number;
  /** What the worker thread with the most has. */
  readonly worker: number;
  /** Spaces that have a copy on the shard with the most of them. */
  readonly spacesOfShard: number;
}

/** More names tell nothing new. */
const SPACES_SAMPLED = 20_000;
/** Real names are not known: the middle of so many sets of made-up ones. */
const SETS = 5;

export function shardIds(count: number): MemberId[] {
  return Array.from({ length: count }, (_, index) => `shard-${index + 1}` as MemberId);
}

export function spaceNames(count: number, set = 0): SpaceId[] {
  return Array.from({ length: count }, (_, index) => `space-${set}-${index}` as SpaceId);
}

/** The thread a shard ties a space to; the hash of `packages/worker-pool/src/worker-pool.ts`. */
export function workerOf(space: SpaceId, workers: number): number {
  const hash = fnv1a32(space);
  return ((hash >>> 16) ^ (hash >>> 8)) % workers;
}

/** By the ring's own placement of made-up names, each of which is written as much as any other. */
export function sharesOf(spread: Spread): Shares {
  const { shards, copies, partitions, workers } = spread;
  const assignment = assign(shardIds(shards), partitions, copies);
  const sampled = Math.min(spread.spaces, SPACES_SAMPLED);
  const sets = Array.from({ length: SETS }, (_, set) => {
    const ofShard = new Map<MemberId, number>();
    const ofWorker = new Map<string, number>();
    for (const space of spaceNames(sampled, set))
      for (const owner of assignment.owners(partitionOf(space, partitions))) {
        ofShard.set(owner, (ofShard.get(owner) ?? 0) + 1);
        const worker = `${owner} ${workerOf(space, workers)}`;
        ofWorker.set(worker, (ofWorker.get(worker) ?? 0) + 1);
      }
    return { shard: Math.max(...ofShard.values()), worker: Math.max(...ofWorker.values()) };
  });
  const middle = (of: (set: (typeof sets)[number]) => number) =>
    sets.map(of).toSorted((left, right) => left - right)[SETS >> 1]!;
  const all = sampled * Math.min(copies, shards);
  const most = middle(({ shard }) => shard);
  return {
    shard: most / all,
    worker: middle(({ worker }) => worker) / all,
    spacesOfShard: Math.ceil((most / sampled) * spread.spaces),
  };
}
