// Stores checkpoints of the partitions that this shard writes, and trims the log behind them.
//
//   W1. One member writes a partition. Two that both believe so are told apart by the epoch: the earlier
//       one fails at its next write, and writes no more until the view changes its mind.
//   W2. The log keeps everything after the checkpoint before the last.
//   W3. A blob is removed only when neither of the two checkpoints names it.
//   W4. Entries that were removed from the log before this shard had applied them are noticed, before it
//       writes a checkpoint without them and soon where it only follows.
//   W5. Nothing is stored of what the log lost again, nor trimmed behind that.
//   W6. What was known of a partition is used no more once it was let go or is brought in anew.
//   W7. The log is trimmed only behind checkpoints of which the blob store still has everything.

import { randomUUID } from 'node:crypto';
import { nextEpoch, type PartitionRecord, type StoredCheckpoint } from '@engram/log';
import { ClusterError, type PartitionId } from '@engram/model';
import { Deadline, Repeater } from '@engram/runtime';
import type { BlobMark, WrittenSection } from '@engram/storage';
import type { CheckpointerOptions } from './options.ts';
import type { Own, Progress } from './own.ts';
import { StoredBlobs } from './stored-blobs.ts';
import { TrimWatch } from './trim-watch.ts';
import { trimmableTo, withMark, type Mark } from './trimming.ts';
import { Unwritten } from './unwritten.ts';

const ROUND_MS = 500;
/** After a failure, or where a thread was not ready to write. */
const AGAIN_MS = 2_000;
/** A log that is fuller than that is trimmed whatever its age. */
const FULL_SHARE = 0.5;
/** One that was told that somebody else writes believes it for so long. */
const FENCED_MS = 10_000;

export class Checkpointer implements AsyncDisposable {
  readonly #options: CheckpointerOptions;
  readonly #progress = new Map<PartitionId, Progress>();
  readonly #own = new Map<PartitionId, Own>();
  readonly #trims: TrimWatch; // W4
  /** One for each time that a partition was brought in (W6). */
  readonly #holdings = new Map<PartitionId, object>();
  readonly #fencedUntilMs = new Map<PartitionId, number>();
  #completeTo: ReadonlyMap<PartitionId, number> = new Map();
  readonly #stored: StoredBlobs;
  readonly #rounds: Repeater;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#trims = new TrimWatch(options);
    const onBroken = (partition: PartitionId) =>
      void (this.#progressOf(partition).dueAtMs = -Infinity);
    this.#stored = new StoredBlobs({ ...options, own: this.#own, onBroken });
    this.#rounds = new Repeater({
      clock,
      intervalMs: ROUND_MS,
      run: (signal) => this.#round(() => signal.aborted),
      onError: (error) => logger.warn({ err: error }, 'checkpoints are not stored yet'),
    });
  }

  /** A partition was taken over, with everything up to this sequence. */
  restored(partition: PartitionId, upTo: number): void {
    this.#holdings.set(partition, {});
    this.#trims.restored(partition, upTo);
  }

  /** @returns false when entries had been removed from the log before they were applied (W4) */
  confirm(partition: PartitionId, upTo: number): Promise<boolean> {
    return this.#trims.confirm(partition, upTo);
  }

  /** An entry was applied, or set aside. */
  applied(partition: PartitionId, sequence: number, bytes: number): void {
    this.#progressOf(partition).unwritten.add(sequence, bytes);
  }

  /** Everything up to these sequences is applied, of all partitions that are ready. */
  complete(upTo: ReadonlyMap<PartitionId, number>): void {
    this.#completeTo = upTo;
  }

  /** A nats-server that was killed may have brought back what was removed: it is removed again. */
  trimAgain(): void {
    for (const own of this.#own.values()) own.trimmedTo = 0;
  }

  /** Up to where a partition lacks nothing for certain; 0 where nothing is known. */
  wholeTo(partition: PartitionId): number {
    return this.#trims.wholeTo(partition);
  }

  /** They are no longer held. */
  release(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) {
      this.#progress.delete(partition);
      this.#own.delete(partition);
      this.#trims.release(partition);
      this.#holdings.delete(partition);
      this.#options.storage.settled(partition);
    }
  }

  /** How old the checkpoint of a partition is that has newer entries, in the worst case. */
  get oldestMs(): number {
    const now = this.#options.clock.now();
    let oldest = 0;
    for (const { unwritten, writtenAtMs } of this.#progress.values())
      if (!unwritten.isEmpty) oldest = Math.max(oldest, now - writtenAtMs);
    return oldest;
  }

  /** Stores what came since the last checkpoints, so that the next start has little to read. */
  async flush(timeoutMs: number): Promise<void> {
    await this.#rounds.close();
    for (const progress of this.#progress.values()) progress.dueAtMs = -Infinity;
    const deadline = new Deadline(this.#options.clock, timeoutMs);
    await this.#round(() => deadline.isOver);
  }

  close(): Promise<void> {
    return this.#rounds.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #progressOf(partition: PartitionId): Progress {
    let progress = this.#progress.get(partition);
    if (progress === undefined) {
      const { clock, intervalMs } = this.#options;
      const writtenAtMs = clock.now();
      // Not all of them at once.
      const dueAtMs = writtenAtMs + intervalMs * (0.5 + Math.random() / 2);
      progress = { unwritten: new Unwritten(), dueAtMs, writtenAtMs };
      this.#progress.set(partition, progress);
    }
    return progress;
  }

  async #round(isOver: () => boolean): Promise<void> {
    const { clock, isWriter, isLogSure, intervalBytes, logState, storage, logger, metrics } =
      this.#options;
    await this.#stored.upkeep();
    for (const partition of this.#completeTo.keys()) {
      const holding = this.#holdings.get(partition);
      const watermark = this.#completeTo.get(partition);
      if (watermark === undefined || holding === undefined) continue;
      if (isOver() || !isLogSure()) return;
      if (!isWriter(partition)) {
        this.#own.delete(partition);
        storage.settled(partition);
        await this.#watch(partition, watermark, holding);
        continue;
      }
      if ((this.#fencedUntilMs.get(partition) ?? -Infinity) > clock.now()) continue;
      const progress = this.#progressOf(partition);
      const isFew = progress.unwritten.bytesTo(watermark) < intervalBytes;
      if (progress.dueAtMs > clock.now() && isFew) continue;
      try {
        const { bytes, bytesMax } = await logState(partition);
        const isFull = bytes > bytesMax * FULL_SHARE;
        await this.#write(partition, watermark, progress, holding, isFull);
      } catch (error) {
        progress.dueAtMs = clock.now() + AGAIN_MS;
        const isFenced = ClusterError.from(error).code === 'FENCED';
        metrics.checkpoints.inc({ outcome: isFenced ? 'fenced' : 'failed' });
        if (isFenced) {
          this.#own.delete(partition);
          this.#fencedUntilMs.set(partition, clock.now() + FENCED_MS);
          storage.settled(partition);
        } else storage.failed(partition, error);
        logger.warn({ err: error, partition }, 'a checkpoint is not stored');
      }
    }
  }

  async #write(
    partition: PartitionId,
    watermark: number,
    progress: Progress,
    holding: object,
    isLogFull: boolean,
  ): Promise<void> {
    const { clock, engine, storage, intervalMs } = this.#options;
    const own = this.#own.get(partition) ?? (await this.#claim(partition, holding));
    if (own === undefined || this.#holdings.get(partition) !== holding) return; // W6
    // From here on the log is trimmed by this shard only, behind what it wrote.
    this.#trims.seen(partition, watermark);
    const { epoch, current, trimmedTo } = own.registered.record;
    // W2 would be broken by one that goes back: what it lacks may be gone from the log.
    const stored = this.#useful(current)?.watermark ?? 0;
    if (watermark < Math.max(stored, trimmedTo)) {
      progress.dueAtMs = clock.now() + AGAIN_MS;
      return;
    }
    const { unwritten } = progress;
    const hasEntries = unwritten.newest > stored;
    const prefix = `${partition}.${epoch}.`;
    const taken = await engine.checkpoints.take(partition, watermark, prefix);
    progress.dueAtMs = clock.now() + (taken === undefined ? AGAIN_MS : intervalMs);
    if (taken === undefined) return;
    const spaces = taken.sections
      .map(({ space, afterSequence }) => `${space} ${afterSequence}`)
      .join('\n');
    const before = own.spaces ?? (current === undefined ? '' : undefined);
    const isSame = !taken.isChanged && spaces === before;
    if (isSame && (!hasEntries || taken.sections.length === 0)) {
      unwritten.written(watermark);
      await this.#trim(partition, own, isLogFull);
      storage.settled(partition);
      return;
    }
    own.spaces = undefined; // until it is stored, whatever happens
    await this.#store(partition, own, watermark, taken.sections, isLogFull);
    own.spaces = spaces;
    unwritten.written(watermark);
    progress.writtenAtMs = clock.now();
    storage.stored(partition);
  }

  /** W4, where another shard writes. */
  async #watch(partition: PartitionId, watermark: number, holding: object): Promise<void> {
    if (!this.#trims.isDue(partition)) return;
    const found = await this.#options.register.read(partition);
    if (this.#holdings.get(partition) !== holding) return; // W6
    if (!this.#trims.isOvertaken(partition, found)) this.#trims.seen(partition, watermark);
  }

  /**
   * Makes this shard the writer, which fences the one before (W1).
   * @returns undefined when it lacks entries (W4)
   */
  async #claim(partition: PartitionId, holding: object): Promise<Own | undefined> {
    const { register, transfers, self, logger } = this.#options;
    const found = await register.read(partition);
    if (this.#holdings.get(partition) !== holding) return undefined;
    if (this.#trims.isOvertaken(partition, found)) return undefined;
    const before = found?.record ?? { epoch: 0, trimmedTo: 0 };
    const claim = randomUUID();
    const record: PartitionRecord = {
      ...before,
      epoch: nextEpoch(before.epoch),
      writer: self,
      claim,
    };
    const registered = await register.write(partition, record, found);
    const blobs = new Map<string, Readonly<Record<string, BlobMark>>>();
    for (const stored of [record.current, record.previous]) {
      if (stored === undefined) continue;
      try {
        blobs.set(stored.name, (await transfers.head(partition, stored)).blobs);
      } catch (error) {
        if (ClusterError.from(error).code !== 'CHECKPOINT_DAMAGED') throw error;
        logger.error({ err: error, partition, checkpoint: stored.name }, 'a damaged checkpoint');
      }
    }
    const marks = [record.previous, record.current]
      .map((stored) => this.#useful(stored))
      .filter((stored) => stored !== undefined);
    const own: Own = { registered, blobs, marks, spaces: undefined, trimmedTo: 0 };
    if (this.#holdings.get(partition) === holding) this.#own.set(partition, own);
    return own;
  }

  async #store(
    partition: PartitionId,
    own: Own,
    watermark: number,
    sections: readonly WrittenSection[],
    isLogFull: boolean,
  ): Promise<void> {
    const { register, transfers, keepMs, metrics, clock } = this.#options;
    const { record } = own.registered;
    const { epoch, writer, claim } = record;
    const name = `${partition}.${epoch}.${randomUUID()}`;
    const writtenAtMs = clock.wallNow();
    // Read after the checkpoint was taken: everything in it stands before that.
    const { lastSequence, lastStoredAtMs } = await this.#options.logState(partition);
    const logEnd = { sequence: lastSequence, storedAtMs: lastStoredAtMs };
    const known = Object.assign({}, ...own.blobs.values()) as Record<string, BlobMark>;
    const head = { partition, epoch, watermark, writtenAtMs, logEnd };
    const { ref, blobs } = await transfers.save({ name, head, sections, known });
    await this.#stored.require(partition, own, Object.keys(blobs)); // W7
    const previous = [record.current, record.previous]
      .map((stored) => this.#useful(stored))
      .find((stored) => stored !== undefined && own.blobs.has(stored.name));
    const marks = withMark(own.marks, { watermark, writtenAtMs }, { nowMs: writtenAtMs, keepMs });
    const next: PartitionRecord = {
      epoch,
      writer,
      claim,
      current: { ...ref, watermark, writtenAtMs, logEnd },
      ...(previous && { previous }),
      trimmedTo: this.#trimmable(partition, record, previous, marks, isLogFull),
    };
    // W5: since `logEnd` was read, and until now.
    const isHeld = this.#own.get(partition) === own && this.#completeTo.has(partition);
    if (!isHeld || !this.#options.isLogSure())
      throw new ClusterError('LOG_UNAVAILABLE', 'the log may have lost what is in the checkpoint');
    own.registered = await register.write(partition, next, own.registered);
    own.marks = marks;
    own.blobs.set(name, blobs);
    metrics.checkpoints.inc({ outcome: 'stored' });
    await this.#stored.removeUnnamed(own); // W3
    await this.#purge(partition, own);
  }

  /** Removes what became old enough since the last checkpoint. */
  async #trim(partition: PartitionId, own: Own, isLogFull: boolean): Promise<void> {
    const { record } = own.registered;
    const previous = this.#useful(record.previous);
    const trimmedTo = this.#trimmable(partition, record, previous, own.marks, isLogFull);
    if (trimmedTo > record.trimmedTo) {
      await this.#stored.require(partition, own); // W7
      const next = { ...record, trimmedTo };
      own.registered = await this.#options.register.write(partition, next, own.registered);
    }
    await this.#purge(partition, own);
  }

  #useful(stored: StoredCheckpoint | undefined): StoredCheckpoint | undefined {
    return stored && !this.#options.restorer.isUseless(stored.name) ? stored : undefined;
  }

  #trimmable(
    partition: PartitionId,
    { trimmedTo }: PartitionRecord,
    previous: Mark | undefined,
    marks: readonly Mark[],
    isLogFull: boolean,
  ): number {
    const { clock, keepMs, isSettled } = this.#options;
    if (previous === undefined || !isSettled(partition)) return trimmedTo;
    const facts = { marks, nowMs: clock.wallNow(), keepMs, isLogFull };
    return Math.max(trimmedTo, trimmableTo({ previousWatermark: previous.watermark, ...facts }));
  }

  /** What was registered as gone goes. */
  async #purge(partition: PartitionId, own: Own): Promise<void> {
    const { trimmedTo } = own.registered.record;
    if (trimmedTo <= own.trimmedTo) return;
    await this.#options.trim(partition, trimmedTo);
    own.trimmedTo = trimmedTo;
    this.#options.metrics.trims.inc();
  }
}
