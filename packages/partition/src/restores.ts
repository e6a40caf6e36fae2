import { ClusterError, type PartitionId } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { Held } from './held.ts';

/** Together; each fetches files over the network. */
const RESTORES_MAX = 16;
/** Until what failed is tried again. */
const AGAIN_MS = 1_000;

interface RestoresOptions {
  /** @returns the sequence up to which everything is applied */
  readonly restore: (partition: PartitionId) => Promise<number>;
  /** Something has been restored, or could not be. */
  readonly onSettled: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Partitions that are being brought in from what is stored of them, some at a time, each once at a time. */
export class Restores {
  readonly #options: RestoresOptions;
  readonly #waiting: (readonly [PartitionId, Held])[] = [];
  readonly #running = new Map<PartitionId, Promise<void>>();

  constructor(options: RestoresOptions) {
    this.#options = options;
  }

  /** Some more will be done soon. */
  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** Files of the partition are being brought in: it cannot be let go before they are. */
  isRunning(partition: PartitionId): boolean {
    return this.#running.has(partition);
  }

  /** Those whose time has come. */
  startDue(all: ReadonlyMap<PartitionId, Held>): void {
    const now = this.#options.clock.now();
    for (const [partition, held] of all)
      if (held.phase.kind === 'unrestored' && held.phase.atMs <= now) {
        held.phase = { kind: 'restoring' };
        this.#waiting.push([partition, held]);
      }
    this.#next();
  }

  /** Those that wait no longer do, where nobody holds them. */
  forget(isHeld: (partition: PartitionId, held: Held) => boolean): void {
    const kept = this.#waiting.filter(([partition, held]) => isHeld(partition, held));
    this.#waiting.splice(0, this.#waiting.length, ...kept);
  }

  async close(): Promise<void> {
    this.#waiting.length = 0;
    await Promise.all(this.#running.values());
  }

  #next(): void {
    while (this.#running.size < RESTORES_MAX) {
      const at = this.#waiting.findIndex(([partition]) => !this.#running.has(partition));
      if (at < 0) return;
      const [[partition, held]] = this.#waiting.splice(at, 1) as [readonly [PartitionId, Held]];
      this.#running.set(partition, this.#run(partition, held));
    }
  }

  async #run(partition: PartitionId, held: Held): Promise<void> {
    const { restore, onSettled, clock, logger } = this.#options;
    try {
      held.phase = { kind: 'restored', from: await restore(partition) };
      delete held.failure;
    } catch (error) {
      held.failure = ClusterError.from(error);
      held.phase = { kind: 'unrestored', atMs: clock.now() + AGAIN_MS };
      logger.error({ err: error, partition }, 'what is stored of a partition cannot be had yet');
    } finally {
      this.#running.delete(partition);
      onSettled();
      this.#next();
    }
  }
}
