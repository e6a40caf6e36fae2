import { Worker } from 'node:worker_threads';

/** Told while the load runs; any other message is its result. */
interface Progress {
  readonly progress: unknown;
}

/** Runs a load in a thread of its own, to its result. The thread has ended then. */
export function inThread<T>(
  entry: URL,
  workerData: unknown,
  signal: AbortSignal,
  onProgress: (what: unknown) => void = () => undefined,
): Promise<T> {
  const worker = new Worker(entry, { workerData });
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    worker.on('message', (message: T | Progress) => {
      if (typeof message === 'object' && message !== null && 'progress' in message)
        onProgress(message.progress);
      else resolve(message);
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the load ended with code ${code}`)));
  }).finally(() => worker.terminate());
}
