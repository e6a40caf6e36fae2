// Checkpoints between this machine and the blob store.
//
//   K1. What `save` answered can be fetched: the blob store took every file whole, and the checkpoint itself
//       was read back, byte for byte.
//   K2. What `fetch` answered is whole: each file has the length and checksum that it was saved with.
//   K3. A damaged file of this machine is fetched again; one of the store is told, with its name, and is not
//       in the cache: much may be made of the others.

import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { ClusterError, type PartitionId } from '@engram/model';
import { damagedBlob, isBlobName, isDamage, type BlobStore } from './blob-store.ts';
import {
  CheckpointFile,
  writeCheckpoint,
  type CheckpointHead,
  type WrittenSection,
} from './checkpoint-file.ts';
import { isMarked, markOf, type BlobMark } from './checksum.ts';
import type { SegmentCache } from './segment-cache.ts';

/** Fetched at once; each is a stream of its own. */
const FETCHES_MAX = 4;

/** Names a checkpoint and says what it must be. */
export interface CheckpointRef extends BlobMark {
  readonly name: string;
  /** Every entry of the partition up to this sequence is in it. */
  readonly watermark: number;
}

export interface NewCheckpoint {
  readonly name: string;
  readonly head: Omit<CheckpointHead, 'spaces' | 'blobs'>;
  readonly sections: readonly WrittenSection[];
  /** Blobs that are stored already. */
  readonly known: Readonly<Record<string, BlobMark>>;
}

export interface FetchedCheckpoint {
  readonly head: CheckpointHead;
  /** Of the blobs that it names, those that are damaged or gone. */
  readonly lost: readonly { readonly name: string; readonly reason: string }[];
}

/** A checkpoint that says of itself what it is. */
export interface FoundCheckpoint {
  readonly ref: CheckpointRef;
  readonly head: CheckpointHead;
}

export class CheckpointStore {
  readonly #blobs: BlobStore;
  readonly #cache: SegmentCache;

  constructor(blobs: BlobStore, cache: SegmentCache) {
    this.#blobs = blobs;
    this.#cache = cache;
  }

  /** Stores a checkpoint with all that it names; those files are in the cache (K1). */
  async save({ name, head, sections, known }: NewCheckpoint): Promise<{
    readonly ref: CheckpointRef;
    readonly blobs: Readonly<Record<string, BlobMark>>;
  }> {
    const blobs: Record<string, BlobMark> = {};
    for (const blob of new Set(sections.flatMap((section) => section.blobs)))
      blobs[blob] = known[blob] ?? (await this.#saveBlob(blob));
    const path = this.#cache.pathOf(name);
    await writeCheckpoint(path, { ...head, blobs }, sections);
    const mark = await this.#saveBlob(name);
    const beside = `${path}.${randomUUID()}`;
    try {
      const isThere = await this.#blobs.fetch(name, beside);
      if (!isThere || !isMarked(await markOf(beside), mark))
        throw damagedBlob(name, 'it was read back differently');
    } finally {
      await rm(beside, { force: true });
    }
    return { ref: { name, watermark: head.watermark, ...mark }, blobs };
  }

  /**
   * Brings a checkpoint of a partition and all that it names into the cache (K2, K3).
   * @throws ClusterError CHECKPOINT_DAMAGED for the checkpoint itself
   */
  async fetch(partition: PartitionId, ref: CheckpointRef): Promise<FetchedCheckpoint> {
    const head = await this.head(partition, ref);
    const lost: { name: string; reason: string }[] = [];
    const waiting = Object.entries(head.blobs);
    const fetching = Array.from({ length: FETCHES_MAX }, async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
        try {
          await this.bring(...next);
        } catch (error) {
          if (!isDamage(error)) throw error;
          const [name] = next;
          lost.push({ name, reason: ClusterError.from(error).message });
          if (isBlobName(name)) await this.#cache.remove(name);
        }
    });
    await Promise.all(fetching);
    return { head, lost };
  }

  /**
   * Brings a checkpoint into the cache without what it names.
   * @throws ClusterError CHECKPOINT_DAMAGED, also when it is another one than it should be
   */
  async head(partition: PartitionId, ref: CheckpointRef): Promise<CheckpointHead> {
    const { name, watermark } = ref;
    await this.bring(name, ref);
    await using file = await CheckpointFile.open(this.#cache.pathOf(name));
    const { head } = file;
    if (head.partition !== partition || head.watermark !== watermark)
      throw damagedBlob(
        name,
        `it is of partition ${head.partition} up to ${head.watermark}, not of ${partition} up to ${watermark}`,
      );
    return head;
  }

  /**
   * A checkpoint of which only the name is known.
   * @returns undefined when it is none, or not whole
   */
  async find(name: string): Promise<FoundCheckpoint | undefined> {
    const path = this.#cache.pathOf(name);
    const beside = `${path}.${randomUUID()}`;
    try {
      if (!(await this.#blobs.fetch(name, beside))) return undefined;
      await using file = await CheckpointFile.open(beside);
      const mark = await markOf(beside);
      if (file.bytes !== mark?.bytes) return undefined;
      const { head } = file;
      return { ref: { name, watermark: head.watermark, ...mark }, head };
    } catch (error) {
      if (isDamage(error)) return undefined;
      throw error;
    } finally {
      await rm(beside, { force: true });
    }
  }

  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#blobs.remove(name);
      await this.#cache.remove(name);
    }
  }

  /** Those of these names that the blob store has not. */
  async lost(names: readonly string[]): Promise<string[]> {
    const lost: string[] = [];
    for (const name of names) if (!(await this.#blobs.has(name))) lost.push(name);
    return lost;
  }

  async names(): Promise<string[]> {
    return (await this.#blobs.names()).filter(isBlobName);
  }

  async #saveBlob(name: string): Promise<BlobMark> {
    const path = this.#cache.pathOf(name);
    const mark = await markOf(path);
    if (mark === undefined) throw damagedBlob(name, 'it is not in the cache');
    await this.#blobs.save(name, path);
    return mark;
  }

  /**
   * Brings one file that a checkpoint names into the cache (K2, K3).
   * @throws ClusterError CHECKPOINT_DAMAGED
   */
  async bring(name: string, mark: BlobMark): Promise<void> {
    const path = this.#cache.pathOf(name);
    if (isMarked(await markOf(path), mark)) return;
    const beside = `${path}.${randomUUID()}`;
    try {
      const isThere = await this.#blobs.fetch(name, beside);
      if (!isThere) throw damagedBlob(name, 'it is not in the blob store');
      if (!isMarked(await markOf(beside), mark)) throw damagedBlob(name, 'it has another checksum');
      await rename(beside, path);
    } finally {
      await rm(beside, { force: true });
    }
  }
}
