import type { BlobPlace, NatsServer } from '@engram/log';
import type { PartitionId } from '@engram/model';
import type { LogLevel, Logger } from '@engram/runtime';
import type {
  BlobMark,
  CheckpointHead,
  CheckpointRef,
  FetchedCheckpoint,
  FoundCheckpoint,
  NewCheckpoint,
} from '@engram/storage';
import { WorkerThread } from '@engram/worker-pool';

export interface TransferSettings {
  readonly member: string;
  readonly cacheFolder: string;
  readonly blobs: BlobPlace;
  readonly nats: NatsServer;
  readonly connectTimeoutMs: number;
  readonly logLevel: LogLevel;
}

export type TransferRequest =
  | { readonly verb: 'save'; readonly checkpoint: NewCheckpoint }
  | {
      readonly verb: 'fetch' | 'head';
      readonly partition: PartitionId;
      readonly ref: CheckpointRef;
    }
  | { readonly verb: 'remove' | 'lost'; readonly names: readonly string[] }
  | { readonly verb: 'find'; readonly name: string }
  | { readonly verb: 'names' }
  | {
      readonly verb: 'sweep-cache';
      readonly use: CacheUse;
      /** Without it, only when the disk has little room. */
      readonly olderThanMs: number | undefined;
    };

/** What is of use in the cache folder. */
export interface CacheUse {
  /** Names that checkpoints of this shard keep. */
  readonly kept: readonly string[];
  /** Partitions whose checkpoints it writes: of those, no others than the kept ones. */
  readonly written: readonly PartitionId[];
  /** Partitions of which it may need everything; with little room on the disk it keeps only theirs. */
  readonly held: readonly PartitionId[];
}

export interface Saved {
  readonly ref: CheckpointRef;
  readonly blobs: Readonly<Record<string, BlobMark>>;
}

/** The thread that moves checkpoints; it starts at once, and again for the next call after it ended. */
export class Transfers implements AsyncDisposable {
  readonly #settings: TransferSettings;
  readonly #logger: Logger;
  #thread: Promise<WorkerThread> | undefined;
  #isClosed = false;

  constructor(settings: TransferSettings, logger: Logger) {
    this.#settings = settings;
    this.#logger = logger;
    this.#thread = this.#start();
  }

  /** @throws ClusterError CHECKPOINT_DAMAGED, LOG_UNAVAILABLE, LOG_FULL; also the others do */
  save(checkpoint: NewCheckpoint): Promise<Saved> {
    return this.#ask<Saved>({ verb: 'save', checkpoint });
  }

  /** Brings a checkpoint with all that it names into the cache folder, as far as it is whole. */
  fetch(partition: PartitionId, ref: CheckpointRef): Promise<FetchedCheckpoint> {
    return this.#ask<FetchedCheckpoint>({ verb: 'fetch', partition, ref });
  }

  /** Brings in a checkpoint only, not what it names. */
  head(partition: PartitionId, ref: CheckpointRef): Promise<CheckpointHead> {
    return this.#ask<CheckpointHead>({ verb: 'head', partition, ref });
  }

  async remove(names: readonly string[]): Promise<void> {
    if (names.length > 0) await this.#ask({ verb: 'remove', names });
  }

  /** A checkpoint of which only the name is known; undefined when it is none. */
  find(name: string): Promise<FoundCheckpoint | undefined> {
    return this.#ask<FoundCheckpoint | undefined>({ verb: 'find', name });
  }

  /** Those of these names that the blob store has not. */
  lost(names: readonly string[]): Promise<readonly string[]> {
    return this.#ask<readonly string[]>({ verb: 'lost', names });
  }

  names(): Promise<readonly string[]> {
    return this.#ask<readonly string[]>({ verb: 'names' });
  }

  /** Removes old files of the cache folder that are of no use. @returns how many */
  sweepCache(use: CacheUse, olderThanMs: number | undefined): Promise<number> {
    return this.#ask<number>({ verb: 'sweep-cache', use, olderThanMs });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const thread = await this.#thread?.catch(() => undefined);
    await thread?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #ask<T>(request: TransferRequest): Promise<T> {
    const thread = await (this.#thread ??= this.#start());
    return (await thread.request(request)) as T;
  }

  async #start(): Promise<WorkerThread> {
    const forget = () => (this.#thread = undefined);
    const starting = WorkerThread.start(
      {
        entry: new URL('./transfer-thread.js', import.meta.url),
        readyTimeoutMs: this.#settings.connectTimeoutMs + START_MS,
        workerData: this.#settings,
      },
      {
        onEnd: (error) => {
          forget();
          if (!this.#isClosed) this.#logger.error({ err: error }, 'the thread of transfers ended');
        },
      },
    );
    starting.catch(forget);
    return starting;
  }
}

/** To load its modules on a busy machine, beside connecting. */
const START_MS = 20_000;
