import { Worker } from 'node:worker_threads';

/** Told while the load runs; any other message is its result. */
interface Progress {
  readonly progress: unknown;
}

export interface ThreadOptions {
  readonly onProgress?: (what: unknown) => void;
  /** Asks for the result of what was done until then: the thread is sent `stop`. */
  readonly enough?: AbortSignal;
}

/** Runs a load in a thread of its own, to its result. The thread has ended then. */
export function inThread<T>(
  entry: URL,
  workerData: unknown,
  signal: AbortSignal,
  { onProgress, enough }: ThreadOptions = {},
): Promise<T> {
  const worker = new Worker(entry, { workerData });
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    enough?.addEventListener('abort', () => worker.postMessage('stop'), { once: true });
    if (enough?.aborted === true) worker.postMessage('stop');
    worker.on('message', (message: T | Progress) => {
      if (typeof message === 'object' && message !== null && 'progress' in message)
        onProgress?.(message.progress);
      else resolve(message);
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the load ended with code ${code}`)));
  }).finally(() => worker.terminate());
}
