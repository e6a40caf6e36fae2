import type { PartitionId, SpaceConfig, SpaceId } from '@engram/model';
import type { WrittenSection } from '@engram/storage';
import type { CheckpointAnswer, RestoreAnswer, WorkerRequest } from './protocol.ts';

/** What the checkpoints of an engine need of it. */
export interface CheckpointPort {
  workerOf(space: SpaceId): number;
  ask<T>(worker: number, request: WorkerRequest): Promise<T>;
  askAll<T>(request: WorkerRequest): Promise<T[]>;
  /** A worker has this space from now on. */
  onSpace(worker: number, space: SpaceId, partition: PartitionId): void;
}

/** A checkpoint that was brought in, with what it names beside it. */
export interface FetchedFile {
  readonly path: string;
  readonly watermark: number;
  /** Blobs that it names and that are not there. */
  readonly lost: readonly string[];
}

/** A space in a checkpoint file. */
export interface CheckpointedSpace {
  readonly config: SpaceConfig;
  readonly at: number;
  readonly bytes: number;
}

/**
 * Partitions to files that outlive the process, and back. A partition that lost something is not written
 * until it was restored: what is left of it would look like all.
 */
export class EngineCheckpoints {
  readonly #port: CheckpointPort;
  /** Partitions that lost something, with how often they did. */
  readonly #lost = new Map<PartitionId, number>();
  #losses = 0;

  constructor(port: CheckpointPort) {
    this.#port = port;
  }

  /**
   * Writes what there is of a partition, beside everything that goes on.
   * @param upTo everything up to this sequence was applied before the call
   * @param prefix of the names of new blobs, which are in the cache folder then
   * @returns undefined when it cannot be done now
   */
  async take(
    partition: PartitionId,
    upTo: number,
    prefix: string,
  ): Promise<CheckpointAnswer | undefined> {
    if (this.#lost.has(partition)) return undefined;
    const answers = await this.#port.askAll<CheckpointAnswer | undefined>({
      verb: 'checkpoint',
      partition,
      upTo,
      prefix,
    });
    // A thread that ended meanwhile left the question to the next one, which had nothing.
    if (this.#lost.has(partition)) return undefined;
    const sections: WrittenSection[] = [];
    for (const answer of answers) {
      if (answer === undefined) return undefined;
      sections.push(...answer.sections);
    }
    return { sections, isChanged: answers.some((answer) => answer?.isChanged === true) };
  }

  /**
   * Brings in the spaces of a partition that are not here, are behind or lost something; the entries
   * after the checkpoint are applied afterwards. What it names is in the cache folder.
   * @returns the spaces that could not be brought in as they were
   */
  async restore(
    partition: PartitionId,
    { path, watermark, lost }: FetchedFile,
    spaces: readonly CheckpointedSpace[],
  ): Promise<RestoreAnswer> {
    const byWorker = new Map<number, CheckpointedSpace[]>();
    for (const space of spaces) {
      const worker = this.#port.workerOf(space.config.space);
      this.#port.onSpace(worker, space.config.space, partition);
      byWorker.set(worker, [...(byWorker.get(worker) ?? []), space]);
    }
    const answers = await Promise.all(
      [...byWorker].map(([worker, its]) =>
        this.#port.ask<RestoreAnswer>(worker, {
          verb: 'restore',
          task: { partition, upTo: watermark, checkpoint: path, lost, spaces: its },
        }),
      ),
    );
    return { damaged: answers.flatMap(({ damaged }) => damaged) };
  }

  /**
   * Entries of a partition never came, and any of its spaces may lack some: all of them are brought in
   * by the next `restore`, whatever was told complete.
   */
  async distrust(partition: PartitionId): Promise<void> {
    await this.#port.askAll({ verb: 'lost', partitions: [partition] });
  }

  /**
   * Nothing is left to be restored: what was lost of the partition comes from the log.
   * @param loss what `loss` was when the restoring began
   */
  async restored(partition: PartitionId, loss: number): Promise<void> {
    if ((this.#lost.get(partition) ?? 0) > loss) return; // it lost something again meanwhile
    this.#lost.delete(partition);
    await this.#port.askAll({ verb: 'restored', partition });
  }

  /** Rises with each loss of anything. */
  get loss(): number {
    return this.#losses;
  }

  /** To be called before a new thread answers anything. */
  lose(partitions: readonly PartitionId[]): void {
    this.#losses++;
    for (const partition of partitions) this.#lost.set(partition, this.#losses);
  }

  /** They are somebody else's now. */
  forget(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#lost.delete(partition);
  }
}
