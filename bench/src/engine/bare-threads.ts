// The native engine and nothing around it, in threads of its own: what the shard's engine is compared
// with. Each thread has one index and its share of the rows, quantised beforehand.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { GraphOptions } from '@engram/vector-index';
import type { Vectors } from '../vectors.ts';

export interface BareShare {
  readonly options: GraphOptions;
  readonly scale: number;
  /** Over shared memory. */
  readonly slab: Float32Array;
  readonly count: number;
}

/** Inserts all rows, in equal shares. @returns milliseconds until the last thread was done */
export async function bareInsertMs(
  vectors: Vectors,
  threads: number,
  share: Omit<BareShare, 'slab' | 'count'>,
): Promise<number> {
  const { dimension, count, slab } = vectors;
  const perThread = Math.floor(count / threads);
  const workers = Array.from({ length: threads }, (_, i) => {
    const own = new Float32Array(new SharedArrayBuffer(perThread * dimension * 4));
    own.set(slab.subarray(i * perThread * dimension, (i + 1) * perThread * dimension));
    const workerData: BareShare = { ...share, slab: own, count: perThread };
    return new Worker(new URL('./bare-thread.js', import.meta.url), { workerData });
  });
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const startedAt = performance.now();
    const done = workers.map((worker) => once(worker, 'message'));
    for (const worker of workers) worker.postMessage('go');
    await Promise.all(done);
    return performance.now() - startedAt;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
