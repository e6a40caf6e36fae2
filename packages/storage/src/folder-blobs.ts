import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from './blob-store.ts';

/** A folder of one machine, or one that all shards mount. */
export class FolderBlobs implements BlobStore {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start(folder: string): Promise<FolderBlobs> {
    await mkdir(folder, { recursive: true });
    return new FolderBlobs(folder);
  }

  async save(name: string, path: string): Promise<void> {
    const target = join(this.#folder, name);
    const beside = `${target}.tmp`;
    // Where the file system can, the copy shares its bytes until one of both is changed.
    await copyFile(path, beside, constants.COPYFILE_FICLONE);
    await synced(beside);
    await rename(beside, target);
    await synced(this.#folder);
  }

  async fetch(name: string, path: string): Promise<boolean> {
    try {
      await copyFile(join(this.#folder, name), path, constants.COPYFILE_FICLONE);
      return true;
    } catch (error) {
      // Something else may stand in its place: foreign folders have been seen there.
      if (['ENOENT', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.#folder, name), { force: true });
  }

  async has(name: string): Promise<boolean> {
    try {
      return (await stat(join(this.#folder, name))).isFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  async names(): Promise<string[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    return entries.flatMap((entry) =>
      entry.isFile() && !entry.name.endsWith('.tmp') ? [entry.name] : [],
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

/** What was written survives a loss of power: a rename alone does not say so. */
async function synced(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
