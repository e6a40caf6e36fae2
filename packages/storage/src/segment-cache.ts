import { copyFile, link, mkdir, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { damagedBlob, isBlobName } from './blob-store.ts';

const SHORT_SHARE = 0.15;

/**
 * Files on this machine under the names of their blobs, which never change: what a shard wrote or fetched
 * once it need not fetch again, also after it was started anew. They share their bytes with the folders of
 * spaces (hard links).
 */
export class SegmentCache {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(folder: string): Promise<SegmentCache> {
    await mkdir(folder, { recursive: true });
    return new SegmentCache(folder);
  }

  /** @throws ClusterError CHECKPOINT_DAMAGED for what no blob is called */
  pathOf(name: string): string {
    if (!isBlobName(name)) throw damagedBlob(name, 'that is no name of a blob');
    return join(this.folder, name);
  }

  async remove(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
  }

  /** Whether the disk has little room left: then what may only be of use one day goes. */
  async isDiskShort(): Promise<boolean> {
    const { blocks, bavail } = await statfs(this.folder);
    return bavail < blocks * SHORT_SHARE;
  }

  /**
   * Removes what is not named, and older than some time: what is on its way is not named yet.
   * @returns how many
   */
  async sweep(isNamed: (name: string) => boolean, olderThanMs: number): Promise<number> {
    let removed = 0;
    for (const name of await readdir(this.folder)) {
      if (isNamed(name)) continue;
      const facts = await stat(this.pathOf(name)).catch(() => undefined);
      // Links change the time of the inode, so that a file which is brought in now counts as new.
      if (facts === undefined || facts.ctimeMs > olderThanMs) continue;
      await this.remove(name);
      removed++;
    }
    return removed;
  }
}

/** The same bytes under a second name; a copy where the file system has no links. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    await copyFile(from, to);
  }
}
