import type { Registered } from '@engram/log';
import type { BlobMark } from '@engram/storage';
import type { Mark } from './trimming.ts';

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
