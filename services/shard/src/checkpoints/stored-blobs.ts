// What the blob store and the cache have of the checkpoints that this shard writes, and what of it is of no
// use any more.

import { ClusterError, type PartitionId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { PartitionRecord } from '@engram/log';
import { brokenOf, namesOf, unnamedOf, type Own } from './own.ts';
import type { Transfers } from './transfers.ts';

/** Soon after the start: what ended the shard before may have cut off a removal, and end it again. */
const FIRST_SWEEP_MS = 60_000;
const SWEEP_MS = 600_000;
const CACHE_SWEEP_MS = 5_000;
/** Files of partitions that moved away may come back. */
const CACHE_KEEP_MS = 3_600_000;

interface StoredBlobsOptions {
  readonly own: ReadonlyMap<PartitionId, Own>;
  readonly transfers: Pick<Transfers, 'remove' | 'names' | 'lost' | 'sweepCache'>;
  /** Partitions whose files are in use, or are being brought in. */
  readonly held: () => readonly PartitionId[];
  /** Checkpoints are lost: the next one is due. */
  readonly onBroken: (partition: PartitionId) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class StoredBlobs {
  readonly #options: StoredBlobsOptions;
  #sweepAtMs: number;
  #cacheSweepAtMs: number;

  constructor(options: StoredBlobsOptions) {
    this.#options = options;
    const now = options.clock.now();
    this.#sweepAtMs = now + FIRST_SWEEP_MS;
    // Not at once: the partitions that are held are not known yet.
    this.#cacheSweepAtMs = now + CACHE_SWEEP_MS;
  }

  /** What is due; no checkpoint is being stored meanwhile. */
  async upkeep(): Promise<void> {
    const { clock } = this.#options;
    if (clock.now() >= this.#sweepAtMs) {
      this.#sweepAtMs = clock.now() + SWEEP_MS;
      await this.#sweep();
    }
    if (clock.now() >= this.#cacheSweepAtMs) {
      this.#cacheSweepAtMs = clock.now() + CACHE_SWEEP_MS;
      await this.#sweepCache();
    }
  }

  /**
   * What a partition's checkpoints name is there: its log may be trimmed behind them.
   * @param more names of a checkpoint that is being stored
   * @throws ClusterError CHECKPOINT_DAMAGED when some of it is gone; the next checkpoint stores it again
   */
  async require(partition: PartitionId, own: Own, more: readonly string[] = []): Promise<void> {
    const lost = new Set(await this.#options.transfers.lost([...namesOf(own), ...more]));
    if (lost.size === 0) return;
    this.#forget(partition, own, (name) => !lost.has(name));
    throw new ClusterError('CHECKPOINT_DAMAGED', 'the blob store lost what checkpoints name', {
      details: { partition, blobs: [...lost] },
    });
  }

  /** What no checkpoint names any more goes; what cannot be removed now is found by the next sweep. */
  async removeUnnamed(own: Own): Promise<void> {
    const { current, previous }: PartitionRecord = own.registered.record;
    const kept = new Set([current?.name, previous?.name]);
    const gone = [...own.blobs.keys()].filter((name) => !kept.has(name));
    const candidates = gone.flatMap((name) => [name, ...Object.keys(own.blobs.get(name)!)]);
    for (const name of gone) own.blobs.delete(name);
    const named = namesOf(own);
    const names = candidates.filter((name) => !named.has(name));
    await this.#options.transfers.remove(names).catch((error: unknown) => {
      this.#options.logger.warn({ err: error, names: names.length }, 'old blobs are left behind');
    });
  }

  /** Removes what no checkpoint names: what an earlier writer left, or this one when it failed. */
  async #sweep(): Promise<void> {
    const { transfers, clock, own } = this.#options;
    const names = await transfers.names();
    await transfers.remove(unnamedOf(names, own));
    await this.#sweepCache(clock.wallNow() - CACHE_KEEP_MS);
    const there = new Set(names);
    for (const [partition, its] of own) this.#forget(partition, its, (name) => there.has(name));
  }

  /** What the blob store has lost is stored again from here. */
  #forget(partition: PartitionId, own: Own, isThere: (name: string) => boolean): void {
    const broken = brokenOf(isThere, own);
    if (broken.length === 0) return;
    this.#options.logger.error({ partition, broken }, 'the blob store lost what checkpoints name');
    for (const name of broken) own.blobs.delete(name);
    own.spaces = undefined;
    this.#options.onBroken(partition);
  }

  /** @param olderThanMs without it only a disk with little room is looked after */
  async #sweepCache(olderThanMs?: number): Promise<void> {
    const { transfers, held, own } = this.#options;
    const kept = [...own.values()].flatMap((each) => [...namesOf(each)]);
    // What is held and written by another shard may have to be stored from here one day.
    const use = { kept, written: [...own.keys()], held: held() };
    await transfers.sweepCache(use, olderThanMs);
  }
}
