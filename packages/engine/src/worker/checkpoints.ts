// A worker's part of the checkpoints of partitions: a section for each of its spaces, and spaces from
// sections.
//
//   C1. A section has everything that was applied to its space before it was asked for.
//   C2. The files that a section names are in the cache under the names of their blobs, and stay the same.
//   C3. What did not change since the last section is not written again.
//   C4. No file is taken that is not what it was when it was written: a checkpoint is what is left when the
//       log is trimmed. A space with such a file begins anew.

import { randomUUID } from 'node:crypto';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError, type PartitionId, type SpaceConfig, type SpaceId } from '@engram/model';
import {
  decodeManifest,
  exportSpace,
  readManifest,
  withoutLost,
  writeManifest,
  type ExportedFile,
  type Manifest,
} from '@engram/space-engine';
import {
  CheckpointFile,
  decodeSection,
  isDamage,
  linkOrCopy,
  writeSection,
  type SectionFile,
  type WrittenSection,
} from '@engram/storage';
import type { CheckpointAnswer, RestoreAnswer, RestoreTask, WorkerSettings } from '../protocol.ts';
import { slicedPace } from './slice.ts';
import type { LoadedSpace, SpaceTable, UnloadedSpace } from './space-table.ts';

/** Smaller files stand in the section itself: a blob costs some round trips, however small. */
const INLINE_BYTES_MAX = 64 * 1024;
/** A space that comes into memory may remove a file before it is in the cache; then another section is made. */
const ATTEMPTS = 5;

interface Taken {
  /** Of which the section tells. */
  readonly of: LoadedSpace['upkeep'] | UnloadedSpace;
  readonly changes: number;
  readonly section: WrittenSection;
}

/** A file on its way into a section. */
interface Taking {
  readonly file: ExportedFile;
  /** Under which it lies in the cache. */
  readonly blob: string;
  readonly at: string;
  readonly isNew: boolean;
}

/** What a section is made of: it stays as it is, whatever becomes of the space. */
interface Held {
  readonly manifest: readonly Uint8Array[];
  readonly files: readonly Taking[];
}

class FileGone extends Error {
  readonly path: string;

  constructor(path: string) {
    super(`the segment file ${path} is gone`);
    this.path = path;
  }
}

export class Checkpoints {
  readonly #settings: WorkerSettings;
  readonly #spaces: SpaceTable;
  readonly #taken = new Map<SpaceId, Taken>();
  /** The blobs of each space's files, by path. */
  readonly #blobs = new Map<SpaceId, ReadonlyMap<string, string>>();

  constructor(settings: WorkerSettings, spaces: SpaceTable) {
    this.#settings = settings;
    this.#spaces = spaces;
  }

  /**
   * @param prefix of the names of new blobs
   * @returns undefined when something is lost, or could not be written
   */
  async take(partition: PartitionId, prefix: string): Promise<CheckpointAnswer | undefined> {
    if (!this.#spaces.isWhole(partition)) return undefined;
    const sections: WrittenSection[] = [];
    let isChanged = false;
    const pace = slicedPace();
    for (const id of this.#spaces.namesIn(partition)) {
      const before = this.#taken.get(id)?.section;
      const section = await this.#section(id, prefix);
      if (section === undefined) return undefined;
      isChanged ||= section !== before;
      if (section !== 'gone') sections.push(section);
      if (pace.isDue()) await pace.turn();
    }
    return this.#spaces.isWhole(partition) ? { sections, isChanged } : undefined;
  }

  /** Brings in the spaces that are not here, are behind or lost something; the others are left as they are. */
  async restore(task: RestoreTask): Promise<RestoreAnswer> {
    const { checkpoint, spaces } = task;
    const damaged: { space: SpaceId; reason: string }[] = [];
    if (spaces.length > 0) {
      await using file = await CheckpointFile.open(checkpoint);
      for (const { config, at, bytes } of spaces) {
        const entry = { space: config.space, afterSequence: config.afterSequence, at, bytes };
        try {
          const section = await file.section(entry);
          const isWhole = await this.#adopt(config, task, section);
          if (!isWhole) damaged.push({ space: config.space, reason: 'its files are damaged' });
        } catch (error) {
          if (!isDamage(error)) throw error;
          damaged.push({ space: config.space, reason: ClusterError.from(error).message });
        }
      }
    }
    return { damaged };
  }

  /** Forgets spaces that are no longer here. */
  prune(): void {
    for (const known of [this.#taken, this.#blobs])
      for (const space of known.keys()) if (!this.#spaces.has(space)) known.delete(space);
  }

  async #section(id: SpaceId, prefix: string): Promise<WrittenSection | 'gone' | undefined> {
    let missing: string | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const space = this.#spaces.settled(id);
      if (space instanceof Promise) {
        await space;
        continue;
      }
      if (space === undefined) return 'gone';
      const of = 'upkeep' in space ? space.upkeep : space;
      const changes = 'upkeep' in space ? space.upkeep.changes : 0;
      const taken = this.#taken.get(id);
      if (taken?.of === of && taken.changes === changes) return taken.section; // C3
      try {
        const held = await this.#hold(space, prefix);
        if (held === undefined) return undefined;
        const section = await this.#write(space.config, held);
        this.#taken.set(id, { of, changes, section });
        return section;
      } catch (error) {
        // It may have been on its way into memory; of what is named again afterwards it is damage.
        if (error instanceof FileGone && error.path !== missing) {
          missing = error.path;
          continue;
        }
        if (!(error instanceof FileGone) && !isDamage(error)) throw error;
        await this.#beginAnew(id, (error as Error).message);
        return undefined;
      }
    }
    return undefined;
  }

  /** C4 */
  async #beginAnew(id: SpaceId, reason: string): Promise<void> {
    const space = this.#spaces.settled(id);
    if (space === undefined || space instanceof Promise) return; // the next checkpoint sees to it
    this.#spaces.faults.push(reason);
    if ('upkeep' in space) await this.#spaces.damaged(space);
    else await this.#spaces.use(space.config); // who opens it finds out
  }

  /** Not waited for before the space is in use: nobody unloads it meanwhile. */
  async #hold(space: LoadedSpace | UnloadedSpace, prefix: string): Promise<Held | undefined> {
    const link = (manifest: Manifest) => this.#link(space.config.space, manifest, prefix);
    if (!('upkeep' in space)) {
      const manifest = await readManifest(this.#spaces.folderOf(space.config.space));
      return manifest && link(manifest);
    }
    space.users++;
    try {
      // Merges go on beside it, and each removes files: with many writes no look at them later would find all.
      return await space.upkeep.checkpoint(link);
    } finally {
      space.users--;
    }
  }

  /** @throws FileGone */
  async #link(space: SpaceId, manifest: Manifest, prefix: string): Promise<Held> {
    const exported = exportSpace(this.#spaces.folderOf(space), manifest);
    const known = this.#blobs.get(space);
    // All at once: between two turns of a busy thread there are milliseconds.
    const settled = await Promise.allSettled(
      exported.files.map(async (file): Promise<Taking> => {
        const before = known?.get(file.path);
        const blob = before ?? (await this.#cached(file.path, prefix));
        const at = join(this.#settings.cacheFolder, blob);
        return { file, blob, at, isNew: before === undefined };
      }),
    );
    const files = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const failed = settled.find(({ status }) => status === 'rejected') as
      PromiseRejectedResult | undefined;
    if (failed === undefined) return { manifest: exported.manifest, files };
    await uncache(files.filter(({ isNew }) => isNew));
    throw failed.reason;
  }

  /** @throws ClusterError SEGMENT_DAMAGED */
  async #write(config: SpaceConfig, held: Held): Promise<WrittenSection> {
    const { space, afterSequence } = config;
    const files: SectionFile[] = [];
    const inline: Uint8Array[] = [];
    const blobs = new Map<string, string>();
    try {
      const pace = slicedPace();
      const turn = async () => {
        if (pace.isDue()) await pace.turn();
      };
      for (const { file, blob, at, isNew } of held.files) {
        if (isNew) await file.verify(at, turn); // C4
        const { size } = await stat(at);
        if (size > INLINE_BYTES_MAX) {
          blobs.set(file.path, blob);
          files.push({ name: file.name, bytes: size, blob });
        } else {
          const bytes = await readFile(at);
          inline.push(bytes);
          files.push({ name: file.name, bytes: bytes.length });
        }
      }
    } finally {
      const kept = new Set(blobs.values());
      const isLeft = ({ blob, isNew }: Taking) => isNew && !kept.has(blob);
      await uncache(held.files.filter(isLeft));
    }
    this.#blobs.set(space, blobs);
    const path = join(this.#settings.sectionsFolder, space);
    const bytes = await writeSection(path, { config, files }, held.manifest, inline);
    return { space, afterSequence, path, bytes, blobs: [...blobs.values()] };
  }

  /** Puts a file into the cache under a new name (C2). @throws FileGone */
  async #cached(path: string, prefix: string): Promise<string> {
    const blob = `${prefix}${randomUUID()}`;
    try {
      await linkOrCopy(path, join(this.#settings.cacheFolder, blob));
      return blob;
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? new FileGone(path) : error;
    }
  }

  /**
   * @returns false when what was brought in turns out to be damaged
   * @throws ClusterError SEGMENT_DAMAGED when rows are lost
   */
  async #adopt(
    config: SpaceConfig,
    task: Pick<RestoreTask, 'partition' | 'upTo' | 'lost'>,
    bytes: Buffer,
  ): Promise<boolean> {
    const { head, manifest: stored, inline } = decodeSection(bytes);
    const isLost = ({ blob }: SectionFile) => blob !== undefined && task.lost.includes(blob);
    const lost = head.files.filter(isLost).map(({ name }) => name);
    // The small ones are opened when they are used; their bytes were checked with the checkpoint.
    const isOpened = head.files.some(({ blob }) => blob !== undefined);
    return this.#spaces.adopt(config, task, async (folder) => {
      const manifest = withoutLost(decodeManifest(stored, 'of a checkpoint'), lost);
      const blobs = new Map<string, string>();
      for (const { name, blob } of head.files) {
        if (lost.includes(name)) continue;
        const path = join(folder, name);
        if (blob === undefined) await writeFile(path, inline.get(name)!);
        else {
          await linkOrCopy(join(this.#settings.cacheFolder, blob), path);
          blobs.set(path, blob);
        }
      }
      this.#blobs.set(config.space, blobs);
      await writeManifest(folder, manifest);
      return { count: manifest.count, completeTo: manifest.completeTo, isOpened };
    });
  }
}

async function uncache(files: readonly Taking[]): Promise<void> {
  for (const { at } of files) await rm(at, { force: true });
}
