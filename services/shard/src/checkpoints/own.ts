import type { Registered } from '@engram/log';
import type { PartitionId } from '@engram/model';
import type { BlobMark } from '@engram/storage';
import type { Mark } from './trimming.ts';
import type { Unwritten } from './unwritten.ts';

/** A partition that this shard has claimed. */
export interface Own {
  registered: Registered;
  /** What the two checkpoints name, by the name of the checkpoint. */
  readonly blobs: Map<string, Readonly<Record<string, BlobMark>>>;
  marks: readonly Mark[];
  /** The spaces of the last checkpoint, and their lives; unknown before this shard wrote one. */
  spaces: string | undefined;
  /** Up to where the log was trimmed by this shard. */
  trimmedTo: number;
}

/** Every name that its checkpoints keep. */
export function namesOf({ blobs }: Own): Set<string> {
  const names = new Set<string>();
  for (const [name, named] of blobs) {
    names.add(name);
    for (const blob of Object.keys(named)) names.add(blob);
  }
  return names;
}

/** How far a partition is beyond its last checkpoint. */
export interface Progress {
  readonly unwritten: Unwritten;
  dueAtMs: number;
  writtenAtMs: number;
}

/** Its checkpoints that the blob store has lost something of. */
export function brokenOf(isThere: (blob: string) => boolean, own: Own): string[] {
  return [...own.blobs].flatMap(([name, named]) =>
    isThere(name) && Object.keys(named).every(isThere) ? [] : [name],
  );
}

/** Of all blobs those that an earlier writer of these partitions left, or this one when it failed. */
export function unnamedOf(blobs: readonly string[], all: ReadonlyMap<PartitionId, Own>): string[] {
  const names = new Map([...all].map(([partition, own]) => [partition, namesOf(own)]));
  return blobs.filter((blob) => {
    const [partition, epoch] = blob.split('.').map(Number) as [PartitionId, number];
    const named = names.get(partition);
    // A later epoch is somebody else's, who may be about to name it.
    const isOurs = epoch <= (all.get(partition)?.registered.record.epoch ?? -1);
    return named !== undefined && isOurs && !named.has(blob);
  });
}
