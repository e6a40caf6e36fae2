// The spaces of one worker thread: which are in memory, which only in files.
//
//   S1. A space is opened once at a time, and nothing touches it while it is being unloaded.
//   S2. A space that was deleted and made again starts empty: what belongs to another incarnation
//       (`afterSequence`) is destroyed.
//   S3. A space whose files were damaged answers nothing until its entries are known to come again: what
//       is left of it would look like all of it.

import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  ClusterError,
  fnv1a32,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { emptySpace, openSpace, type EngineOptions, type OpenSpace } from '@engram/space-engine';
import type { WorkerSettings } from '../protocol.ts';
import { slicedPace } from './slice.ts';

/** A space that is in memory. */
export interface LoadedSpace extends OpenSpace {
  readonly config: SpaceConfig;
  readonly partition: PartitionId;
  usedAtMs: number;
  /** Calls that are under way; it is not unloaded meanwhile. */
  users: number;
}

/** A space that is in files only. */
export interface UnloadedSpace {
  readonly kind: 'unloaded';
  readonly config: SpaceConfig;
  readonly partition: PartitionId;
  readonly count: number;
  readonly completeTo: number;
}

/** What was brought into the folder of a space. */
interface Brought extends Pick<UnloadedSpace, 'count' | 'completeTo'> {
  readonly isOpened: boolean;
}

type Entry =
  | { readonly kind: 'loaded'; readonly space: LoadedSpace }
  /** Being opened or unloaded; what comes next is seen when it is done. */
  | {
      readonly kind: 'changing';
      readonly done: Promise<void>;
      readonly partition: PartitionId;
      readonly count: number;
    }
  | UnloadedSpace;

export class SpaceTable {
  readonly #settings: WorkerSettings;
  readonly #entries = new Map<SpaceId, Entry>();
  #openings = 0;
  /** Spaces that lost something, with their partitions (S3). */
  readonly #distrusted = new Map<SpaceId, PartitionId>();
  /** Spaces that lost something and were not restored since. */
  readonly #lost = new Map<SpaceId, PartitionId>();
  /** Partitions that lost something in no one knows which spaces, with those that were restored since. */
  readonly #lostPartitions = new Map<PartitionId, Set<SpaceId>>();
  readonly #onDamaged: (space: SpaceId, partition: PartitionId) => void;
  /** What went wrong with files, to be taken. */
  readonly faults: string[] = [];

  /** @param onDamaged told at once: the space's entries must come again */
  constructor(
    settings: WorkerSettings,
    onDamaged: (space: SpaceId, partition: PartitionId) => void,
  ) {
    this.#settings = settings;
    this.#onDamaged = onDamaged;
  }

  /** Those in memory. */
  *loaded(): Generator<LoadedSpace> {
    for (const entry of this.#entries.values()) if (entry.kind === 'loaded') yield entry.space;
  }

  peek(space: SpaceId): LoadedSpace | undefined {
    const entry = this.#entries.get(space);
    return entry?.kind === 'loaded' ? entry.space : undefined;
  }

  has(space: SpaceId): boolean {
    return this.#entries.has(space);
  }

  isTrusted({ config }: LoadedSpace): boolean {
    return !this.#distrusted.has(config.space);
  }

  /** @throws ClusterError PARTITION_UNAVAILABLE where the space lost something (S3) */
  requireTrust(space: LoadedSpace): void {
    if (!this.isTrusted(space)) throw rebuilding();
  }

  /** The entries of these partitions come again, from the first, and nothing is complete before. */
  trust(partitions: readonly PartitionId[]): void {
    for (const [space, partition] of this.#distrusted)
      if (partitions.includes(partition)) this.#distrusted.delete(space);
  }

  /** A file of the space turned out to be damaged: all of it begins anew, and its entries must come. */
  async damaged(space: LoadedSpace): Promise<void> {
    const { config, partition } = space;
    if (this.peek(config.space) !== space) return; // seen before
    const change = this.#change(config.space, partition, async () => {
      await space.upkeep.destroy();
      const opened = emptySpace(config, this.#options(config.space));
      return { entry: loadedEntry(config, partition, opened), result: undefined };
    });
    this.#distrust(config.space, partition);
    await change;
  }

  namesIn(partition: PartitionId): SpaceId[] {
    const hits = [...this.#entries].filter(([, entry]) => partitionIn(entry) === partition);
    return hits.map(([id]) => id);
  }

  /** What is known of a space, or what to wait for while it changes (S1). */
  settled(id: SpaceId): LoadedSpace | UnloadedSpace | undefined | Promise<void> {
    const entry = this.#entries.get(id);
    if (entry?.kind === 'changing') return entry.done;
    return entry?.kind === 'loaded' ? entry.space : entry;
  }

  /** What there is of these partitions is not all of it, whatever was told complete before. */
  lose(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#lostPartitions.set(partition, new Set());
  }

  /** Nothing of the partition is lost, or has to come again. */
  isWhole(partition: PartitionId): boolean {
    if (this.#lostPartitions.has(partition)) return false;
    const isHit = (hit: PartitionId) => hit === partition;
    return ![...this.#distrusted.values(), ...this.#lost.values()].some(isHit);
  }

  /**
   * Takes a space from files that `bring` puts into its folder, unless it is here and whole.
   * @param upTo everything up to this sequence is in the files, and does not come again
   * @param bring what was read whole a moment ago; it says whether the space is to be opened at once
   * @returns false when the files turn out to be damaged; the space is lost then
   */
  async adopt(
    config: SpaceConfig,
    { partition, upTo }: { readonly partition: PartitionId; readonly upTo: number },
    bring: (folder: string) => Promise<Brought>,
  ): Promise<boolean> {
    const { space } = config;
    const restored = this.#lostPartitions.get(partition);
    const isLost = this.#lost.has(space) || restored?.has(space) === false;
    for (;;) {
      const known = this.settled(space);
      if (known === undefined) break;
      if (known instanceof Promise) {
        await known;
        continue;
      }
      const { completeTo } = 'engine' in known ? known.engine : known;
      const isOlder = known.config.afterSequence < config.afterSequence || completeTo < upTo;
      if (!isLost && !isOlder) return true;
      await this.drop(space);
    }
    return this.#change(space, partition, async () => {
      const folder = this.folderOf(space);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      const { isOpened, ...known } = await bring(folder);
      restored?.add(space);
      if (!isOpened)
        return { entry: { kind: 'unloaded', config, partition, ...known }, result: true };
      // Within this change: whoever waits for the space would open it too (S1).
      const opened = await openSpace(config, this.#options(space), { areFilesVerified: true });
      if (opened.isDamaged) this.#lost.set(space, partition);
      return { entry: loadedEntry(config, partition, opened), result: !opened.isDamaged };
    });
  }

  /** What could be restored of the partition is: the rest comes from the log. */
  restored(partition: PartitionId): void {
    for (const [space, its] of this.#lost) if (its === partition) this.#lost.delete(space);
    this.#lostPartitions.delete(partition);
  }

  /** One that is on its way into memory or out of it counts as in memory: its files may still change. */
  get counts(): { loaded: number; unloaded: number; observations: number } {
    let [unloaded, observations] = [0, 0];
    for (const entry of this.#entries.values()) {
      if (entry.kind === 'unloaded') unloaded++;
      observations += countIn(entry);
    }
    return { loaded: this.#entries.size - unloaded, unloaded, observations };
  }

  /**
   * The space, read back from its files where it must be; undefined when nothing is known of it and no
   * partition is given. Synchronous where nothing has to be read.
   */
  use(
    config: SpaceConfig,
    partition?: PartitionId,
  ): LoadedSpace | undefined | Promise<LoadedSpace | undefined> {
    const entry = this.#entries.get(config.space);
    if (entry?.kind === 'loaded' && entry.space.config.afterSequence >= config.afterSequence)
      return entry.space;
    if (entry === undefined) {
      // A question about a space without entries must not leave one behind.
      if (partition === undefined) return undefined;
      return this.#add(config, partition, emptySpace(config, this.#options(config.space)));
    }
    return this.#useSlowly(config, partition);
  }

  async #useSlowly(
    config: SpaceConfig,
    partition: PartitionId | undefined,
  ): Promise<LoadedSpace | undefined> {
    for (;;) {
      const entry = this.#entries.get(config.space);
      switch (entry?.kind) {
        case 'changing':
          await entry.done; // S1
          continue;
        case 'loaded':
          if (entry.space.config.afterSequence >= config.afterSequence) return entry.space;
          await this.drop(config.space); // S2
          continue;
        case 'unloaded':
          if (entry.config.afterSequence < config.afterSequence) {
            await this.drop(config.space);
            continue;
          }
          return this.#open(entry.config, entry.partition);
        case undefined:
          if (partition === undefined) return undefined;
          return this.#add(config, partition, emptySpace(config, this.#options(config.space)));
      }
    }
  }

  /** Writes a space to its files and forgets it, unless it is in use or not ready for that. */
  async unload(space: LoadedSpace): Promise<boolean> {
    const { space: id } = space.config;
    const entry = this.#entries.get(id);
    if (space.users > 0 || entry?.kind !== 'loaded' || entry.space !== space) return false;
    const { count, completeTo } = space.engine;
    const { config, partition } = space;
    return this.#change(id, partition, async () => {
      const isUnloaded = await space.upkeep.unload();
      return isUnloaded
        ? { entry: { kind: 'unloaded', config, partition, count, completeTo }, result: true }
        : { entry: { kind: 'loaded', space }, result: false };
    });
  }

  async drop(id: SpaceId): Promise<void> {
    let entry = this.#entries.get(id);
    while (entry?.kind === 'changing') {
      await entry.done;
      entry = this.#entries.get(id);
    }
    this.#distrusted.delete(id);
    this.#lost.delete(id);
    if (entry === undefined) return;
    const known: Exclude<Entry, { kind: 'changing' }> = entry;
    await this.#change(id, partitionIn(known), async () => {
      const space =
        known.kind === 'loaded' ? known.space : emptySpace(known.config, this.#options(id));
      await space.upkeep.destroy();
      return { entry: undefined, result: undefined };
    });
  }

  async dropPartitions(partitions: readonly PartitionId[]): Promise<void> {
    const gone = new Set(partitions);
    for (const partition of partitions) this.#lostPartitions.delete(partition);
    const dropped: Promise<void>[] = [];
    for (const [id, entry] of this.#entries)
      if (gone.has(partitionIn(entry))) dropped.push(this.drop(id));
    await Promise.all(dropped);
  }

  #add(config: SpaceConfig, partition: PartitionId, opened: OpenSpace): LoadedSpace {
    const entry = loadedEntry(config, partition, opened);
    this.#entries.set(config.space, entry);
    return entry.space;
  }

  #open(config: SpaceConfig, partition: PartitionId): Promise<LoadedSpace> {
    return this.#change(config.space, partition, async () => {
      const opened = await openSpace(config, this.#options(config.space));
      if (opened.isDamaged) this.#distrust(config.space, partition);
      const entry = loadedEntry(config, partition, opened);
      return { entry, result: entry.space };
    });
  }

  #distrust(space: SpaceId, partition: PartitionId): void {
    this.#distrusted.set(space, partition);
    this.#lost.set(space, partition);
    this.#onDamaged(space, partition);
  }

  /** Runs a change of one space; everybody else waits for it (S1). */
  async #change<T>(
    id: SpaceId,
    partition: PartitionId,
    run: () => Promise<{ entry: Entry | undefined; result: T }>,
  ): Promise<T> {
    const before = this.#entries.get(id);
    let resolve = (): void => undefined;
    const done = new Promise<void>((resolved) => (resolve = resolved));
    this.#entries.set(id, { kind: 'changing', done, partition, count: countIn(before) });
    let after: Entry | undefined = before;
    try {
      const { entry, result } = await run();
      after = entry;
      return result;
    } finally {
      if (after === undefined) this.#entries.delete(id);
      else this.#entries.set(id, after);
      resolve();
    }
  }

  /** The hash tells names apart that differ in case only, where the file system does not. */
  folderOf(space: SpaceId): string {
    return join(this.#settings.folder, `${space}-${fnv1a32(space).toString(16)}`);
  }

  #options(space: SpaceId): EngineOptions {
    const { graphThreshold, segmentBytesMax, mergedBytesMax, snapshotKeepMs, incarnation } =
      this.#settings;
    return {
      folder: this.folderOf(space),
      firstFile: (incarnation * OPENINGS_MAX + ++this.#openings) * FILES_AN_OPENING + 1,
      graphThreshold,
      segmentBytesMax,
      mergedBytesMax,
      snapshotKeepMs,
      pace: slicedPace(),
      onFault: ({ message, cause }) => {
        const detail = cause instanceof Error ? `${message}: ${cause.message}` : message;
        if (this.faults.length < FAULTS_MAX) this.faults.push(detail);
      },
    };
  }
}

export function rebuilding(): ClusterError {
  return new ClusterError(
    'PARTITION_UNAVAILABLE',
    'files of the space were damaged; it is read from the log again',
  );
}

function loadedEntry(config: SpaceConfig, partition: PartitionId, opened: OpenSpace) {
  const usedAtMs = performance.now();
  const space: LoadedSpace = { ...opened, config, partition, usedAtMs, users: 0 };
  return { kind: 'loaded', space } as const;
}

function countIn(entry: Entry | undefined): number {
  if (entry === undefined) return 0;
  return entry.kind === 'loaded' ? entry.space.engine.count : entry.count;
}

function partitionIn(entry: Entry): PartitionId {
  return entry.kind === 'loaded' ? entry.space.partition : entry.partition;
}

/** Between two ticks; more say nothing new. */
const FAULTS_MAX = 16;
/**
 * Numbers of files that a space has for itself each time that it comes into memory: what is still built
 * for one that was deleted, or by a thread for one that ended, must not be taken for a later one's.
 */
const FILES_AN_OPENING = 100_000;
const OPENINGS_MAX = 10_000_000;
