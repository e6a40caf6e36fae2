import { fnv1a32 } from '@engram/model';
import { WorkerThread, type ThreadOptions } from './worker-thread.ts';

export interface PoolOptions extends ThreadOptions {
  readonly count: number;
  readonly onCrash: (error: Error) => void;
}

/** Threads with affinity: the work of one key always meets the same thread. */
export class WorkerPool implements AsyncDisposable {
  readonly threads: readonly WorkerThread[];

  private constructor(threads: readonly WorkerThread[]) {
    this.threads = threads;
  }

  static async start(options: PoolOptions): Promise<WorkerPool> {
    const starting = Array.from({ length: options.count }, () =>
      WorkerThread.start(options, options.onCrash),
    );
    const settled = await Promise.allSettled(starting);
    const failure = settled.find((result) => result.status === 'rejected');
    const threads = settled.flatMap((result) =>
      result.status === 'fulfilled' ? [result.value] : [],
    );
    if (failure === undefined) return new WorkerPool(threads);
    await Promise.all(threads.map((thread) => thread.close()));
    throw failure.reason;
  }

  threadFor(key: string): WorkerThread {
    // Spaces of one shard share its partitions, so the hash's low bits are taken: mix in the high.
    const hash = fnv1a32(key);
    return this.threads[((hash >>> 16) ^ (hash >>> 8)) % this.threads.length]!;
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
