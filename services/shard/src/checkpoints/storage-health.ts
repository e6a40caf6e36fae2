import type { StorageFault } from '@engram/codec';
import { faultText } from '@engram/engine';
import type { PartitionId } from '@engram/model';
import type { Clock } from '@engram/runtime';

/** Shorter ones end by themselves: a nats-server that is started anew, a view that changes. */
const LASTING_MS = 10_000;
/** A checkpoint that fails is tried again sooner, unless its partition has none to be stored any more. */
const FAILED_AGAIN_MS = 30_000;
/** A disk that has no room says so again at the next file, which is tried every second or two. */
const REPEATED_MS = 10_000;
/** Errors of the system that people must end; a damaged file is mended by the shard. */
const OF_THE_DISK = /\b(ENOSPC|EDQUOT|EROFS|EIO|EACCES|EPERM|EMFILE|ENFILE)\b/;

interface Failing {
  readonly message: string;
  readonly sinceMs: number;
  readonly lastMs: number;
}

/** What keeps a shard from storing what it has: told to whoever looks at the cluster, until it is over. */
export class StorageHealth {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #failing = new Map<PartitionId, Failing>();
  #disk: Failing | undefined;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** A file could not be written or read. */
  fileFault(message: string): void {
    if (!OF_THE_DISK.test(message)) return;
    const nowMs = this.#clock.now();
    this.#disk = {
      message,
      sinceMs: this.#lasting(this.#disk, REPEATED_MS)?.sinceMs ?? nowMs,
      lastMs: nowMs,
    };
  }

  /** A checkpoint of the partition is not stored. */
  failed(partition: PartitionId, error: unknown): void {
    const lastMs = this.#clock.now();
    const sinceMs = this.#lasting(this.#failing.get(partition), FAILED_AGAIN_MS)?.sinceMs ?? lastMs;
    this.#failing.set(partition, { message: faultText(error), sinceMs, lastMs });
  }

  /** One is stored, which goes through the disk. */
  stored(partition: PartitionId): void {
    this.#failing.delete(partition);
    this.#disk = undefined;
  }

  /** Nothing of it has to be stored, or the partition is another shard's now. */
  settled(partition: PartitionId): void {
    this.#failing.delete(partition);
  }

  /** Undefined where all is well, or may be so in a moment. */
  get fault(): StorageFault | undefined {
    const nowMs = this.#clock.now();
    const longest = [...this.#failing.values()]
      .flatMap((failing) => this.#lasting(failing, FAILED_AGAIN_MS) ?? [])
      .filter(({ message, sinceMs }) => OF_THE_DISK.test(message) || nowMs - sinceMs >= LASTING_MS)
      .reduce<Failing | undefined>(
        (before, each) => (before && before.sinceMs <= each.sinceMs ? before : each),
        this.#lasting(this.#disk, REPEATED_MS),
      );
    return longest && { message: longest.message, forMs: Math.round(nowMs - longest.sinceMs) };
  }

  #lasting(failing: Failing | undefined, againMs: number): Failing | undefined {
    return failing && this.#clock.now() - failing.lastMs < againMs ? failing : undefined;
  }
}
