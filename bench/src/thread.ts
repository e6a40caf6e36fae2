import { Worker } from 'node:worker_threads';

/** Runs a load in a thread of its own; its first message is the result. The thread has ended then. */
export function inThread<T>(entry: URL, workerData: unknown, signal: AbortSignal): Promise<T> {
  const worker = new Worker(entry, { workerData });
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the load ended with code ${code}`)));
  }).finally(() => worker.terminate());
}
