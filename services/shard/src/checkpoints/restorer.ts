import type { CheckpointedSpace, ShardEngine } from '@engram/engine';
import type { SpaceDirectory, StoredCheckpoint } from '@engram/log';
import { ClusterError, type PartitionId, type SpaceId } from '@engram/model';
import type { Logger } from '@engram/runtime';
import { CheckpointFile, decodeSection, type CheckpointHead } from '@engram/storage';
import type { ShardMetrics } from '../metrics.ts';
import type { PartitionRecords } from './partition-records.ts';
import type { Transfers } from './transfers.ts';

interface RestorerOptions {
  readonly register: Pick<PartitionRecords, 'read' | 'remake'>;
  readonly transfers: Pick<Transfers, 'fetch'>;
  readonly engine: {
    readonly checkpoints: Pick<
      ShardEngine['checkpoints'],
      'loss' | 'distrust' | 'restore' | 'restored'
    >;
  };
  readonly directory: Pick<SpaceDirectory, 'peek' | 'recover'>;
  /** Of a file that was fetched. */
  readonly pathOf: (name: string) => string;
  /** Whether a checkpoint was made of the log as it is. */
  readonly isOfLog: (partition: PartitionId, stored: StoredCheckpoint) => Promise<boolean>;
  readonly metrics: Pick<ShardMetrics, 'restores'>;
  readonly logger: Logger;
}

/**
 * Brings partitions in from their checkpoints: from the current one, what is damaged of it from the one
 * before, and what no checkpoint has from the log.
 */
export class Restorer {
  readonly #options: RestorerOptions;
  /** Checkpoints that turned out to be of no use: none of them may be the last that is kept. */
  readonly #useless = new Set<string>();

  constructor(options: RestorerOptions) {
    this.#options = options;
  }

  isUseless(name: string): boolean {
    return this.#useless.has(name);
  }

  /**
   * @param wholeTo up to where the log is known to have been whole when the partition was applied
   * @returns the sequence up to which everything is applied
   * @throws ClusterError CHECKPOINT_DAMAGED when no checkpoint has what was removed from the log;
   * LOG_UNAVAILABLE
   */
  restore(partition: PartitionId, wholeTo: number): Promise<number> {
    return this.#restore(partition, wholeTo, new Set());
  }

  /** @param tried names of checkpoints that were of no use */
  async #restore(partition: PartitionId, wholeTo: number, tried: Set<string>): Promise<number> {
    const { register, engine, isOfLog, metrics, logger } = this.#options;
    const { loss } = engine.checkpoints;
    const found = await register.read(partition);
    const { current, previous, trimmedTo = 0 } = found?.record ?? {};
    // What was removed before it was applied is missing in spaces that look complete.
    if (trimmedTo > wholeTo) await engine.checkpoints.distrust(partition);
    let from: number | undefined;
    /** Spaces that are still to be found; all, before the first checkpoint was read. */
    let missing: ReadonlySet<SpaceId> | undefined;
    for (const [which, stored] of Object.entries({ current, previous })) {
      if (stored === undefined || missing?.size === 0) continue;
      tried.add(stored.name);
      if (stored.watermark < trimmedTo) {
        // The log no longer goes on from there.
        logger.error({ partition, trimmedTo, ...stored }, 'a checkpoint is older than the log');
        this.#useless.add(stored.name);
        continue;
      }
      if (!(await isOfLog(partition, stored))) {
        // The log lost its end: what is stored of that would be taken for entries that come anew.
        logger.error({ partition, ...stored }, 'a checkpoint has what the log lost');
        this.#useless.add(stored.name);
        continue;
      }
      const damaged = await this.#bring(partition, stored, missing);
      if (damaged === undefined) continue;
      metrics.restores.inc({ from: which });
      from = stored.watermark;
      missing = damaged;
    }
    if (from === undefined || (missing !== undefined && missing.size > 0)) {
      if (trimmedTo > 0 && (await register.remake(partition, found!, tried)) !== undefined)
        return this.#restore(partition, wholeTo, tried);
      if (trimmedTo > 0)
        throw new ClusterError(
          'CHECKPOINT_DAMAGED',
          `no checkpoint of partition ${partition} has what was removed from the log`,
          {
            details: { trimmedTo, spaces: [...(missing ?? [])] },
            hint: 'bring the blobs of its checkpoints back; until then the partition is not served',
          },
        );
      metrics.restores.inc({ from: 'log' });
      from = 0;
    }
    await engine.checkpoints.restored(partition, loss);
    return from;
  }

  /** @returns spaces that are damaged in it; undefined when nothing of it could be brought in */
  async #bring(
    partition: PartitionId,
    stored: StoredCheckpoint,
    missing: ReadonlySet<SpaceId> | undefined,
  ): Promise<Set<SpaceId> | undefined> {
    const { transfers, engine, pathOf, logger } = this.#options;
    try {
      const { head, lost } = await transfers.fetch(partition, stored);
      const spaces = await this.#spacesOf(stored, head, missing);
      for (const blob of lost) {
        logger.error({ partition, checkpoint: stored.name, ...blob }, 'a damaged blob');
        this.#useless.add(stored.name);
      }
      const file = {
        path: pathOf(stored.name),
        watermark: stored.watermark,
        lost: lost.map(({ name }) => name),
      };
      const { damaged } = await engine.checkpoints.restore(partition, file, spaces);
      // One that this checkpoint does not have had no entries up to there: it comes from the log.
      const hasLife = (space: SpaceId) =>
        head.spaces.some(
          (its) =>
            its.space === space &&
            its.afterSequence >= (this.#options.directory.peek(space)?.afterSequence ?? 0),
        );
      const left = new Set([...(missing ?? [])].filter(hasLife));
      for (const { config } of spaces) left.delete(config.space);
      for (const { space, reason } of damaged) {
        logger.error({ partition, space, reason, checkpoint: stored.name }, 'a damaged space');
        left.add(space);
        this.#useless.add(stored.name);
      }
      return left;
    } catch (error) {
      const { code, message } = ClusterError.from(error);
      if (code !== 'CHECKPOINT_DAMAGED') throw error;
      logger.error({ partition, checkpoint: stored.name, reason: message }, 'a damaged checkpoint');
      // It may also have been replaced while it was fetched: then the next attempt finds another one.
      const again = await this.#options.register.read(partition);
      if (
        again?.record.current?.name !== stored.name &&
        again?.record.previous?.name !== stored.name
      )
        throw new ClusterError('LOG_UNAVAILABLE', 'the checkpoint was replaced meanwhile');
      this.#useless.add(stored.name);
      return undefined;
    }
  }

  /** Those of its spaces that there still are, and are looked for. */
  async #spacesOf(
    stored: StoredCheckpoint,
    head: CheckpointHead,
    missing: ReadonlySet<SpaceId> | undefined,
  ): Promise<CheckpointedSpace[]> {
    const { directory, pathOf } = this.#options;
    const spaces: CheckpointedSpace[] = [];
    for (const entry of head.spaces) {
      const { space, afterSequence, at, bytes } = entry;
      if (missing !== undefined && !missing.has(space)) continue;
      let config = directory.peek(space);
      if (config === undefined) {
        await using file = await CheckpointFile.open(pathOf(stored.name));
        config = await directory.recover(decodeSection(await file.section(entry)).head.config);
      }
      if (config?.afterSequence === afterSequence) spaces.push({ config, at, bytes });
    }
    return spaces;
  }
}
