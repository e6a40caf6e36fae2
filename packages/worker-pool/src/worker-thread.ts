import { once } from 'node:events';
import { Worker, type ResourceLimits, type TransferListItem } from 'node:worker_threads';
import { ClusterError, type WireError } from '@engram/model';

export interface ThreadOptions {
  /** A built JavaScript file that calls `serveThread`. */
  readonly entry: URL;
  readonly readyTimeoutMs: number;
  readonly workerData?: unknown;
  readonly resourceLimits?: ResourceLimits;
}

/** What crosses to the thread and back. */
export type ThreadRequest =
  | { readonly id: number; readonly body: unknown }
  /** Nothing more is wanted: the thread ends itself. */
  | { readonly isEnd: true };
export type ThreadMessage =
  /** Told unasked. */
  | { readonly news: unknown }
  | { readonly id: number; readonly ok: unknown }
  | { readonly id: number; readonly error: WireError; readonly cause?: string };

/** What is heard of a thread beside answers. */
export interface ThreadEvents {
  readonly onEnd: (error: ClusterError) => void;
  readonly onNews?: (news: unknown) => void;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ClusterError) => void;
}

/** A thread that has not ended itself by then hangs, and is ended from outside. */
const CLOSE_TIMEOUT_MS = 10_000;

/** One worker thread that answers requests. */
export class WorkerThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #isClosing = false;
  #end: ClusterError | undefined;

  private constructor(worker: Worker, { onEnd, onNews }: ThreadEvents) {
    this.#worker = worker;
    let cause: Error | undefined;
    worker.on('message', (message: ThreadMessage) => {
      if ('news' in message) onNews?.(message.news);
      else this.#settle(message);
    });
    worker.on('error', (error: Error) => (cause = error));
    worker.on('exit', (code) => {
      const reason =
        cause === undefined ? `with code ${code}` : `by ${cause.name}: ${cause.message}`;
      const error = new ClusterError('PARTITION_UNAVAILABLE', `a worker thread ended ${reason}`, {
        cause,
      });
      this.#end = error;
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
      if (!this.#isClosing) onEnd(error);
    });
  }

  /**
   * Resolves when the thread can take requests. Its first message says so: the event `online` would
   * only say that a thread exists, even for a file that does not.
   * @throws ClusterError INTERNAL when it ends before, or is not ready in time; what the thread threw
   */
  static async start(
    { entry, readyTimeoutMs, ...options }: ThreadOptions,
    events: ThreadEvents,
  ): Promise<WorkerThread> {
    const worker = new Worker(entry, options);
    const signal = AbortSignal.timeout(readyTimeoutMs);
    // It may say that it is ready and end in the same turn of our loop.
    let hasEnded = false;
    worker.once('exit', () => (hasEnded = true));
    try {
      await Promise.race([
        once(worker, 'message', { signal }),
        once(worker, 'exit', { signal }).then(() => {
          throw endedEarly();
        }),
      ]);
      if (hasEnded) throw endedEarly();
    } catch (error) {
      await worker.terminate();
      if (!signal.aborted) throw error;
      const message = `a worker thread was not ready within ${readyTimeoutMs} ms`;
      throw new ClusterError('INTERNAL', message, { cause: error });
    }
    return new WorkerThread(worker, events);
  }

  /** Requests under way. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Nothing is answered any more. */
  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** How long the thread's event loop was busy since its start. */
  get busyMs(): number {
    return this.#worker.performance.eventLoopUtilization().active;
  }

  /**
   * Buffers in `transfer` belong to the thread afterwards.
   * @throws ClusterError what the thread answered, or PARTITION_UNAVAILABLE when it ended
   */
  request(body: unknown, transfer: readonly TransferListItem[] = []): Promise<unknown> {
    // A message to a thread that has ended is lost without a word: nobody would ever answer.
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const request: ThreadRequest = { id, body };
      this.#worker.postMessage(request, transfer);
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** A request whose answer nobody needs. */
  post(body: unknown): void {
    const request: ThreadRequest = { id: this.#nextId++, body };
    this.#worker.postMessage(request);
  }

  /**
   * The thread ends itself, between two of its turns. Ended from outside while it is in native code, that
   * code could not even throw: node-addon-api would abort the whole process.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.hasEnded) return;
    const request: ThreadRequest = { isEnd: true };
    this.#worker.postMessage(request);
    try {
      await once(this.#worker, 'exit', { signal: AbortSignal.timeout(CLOSE_TIMEOUT_MS) });
    } catch {
      await this.#worker.terminate();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #settle(reply: Exclude<ThreadMessage, { readonly news: unknown }>): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('error' in reply) waiting?.reject(ClusterError.fromWire(reply.error, causeIn(reply)));
    else waiting?.resolve(reply.ok);
  }
}

function causeIn({ cause }: { readonly cause?: string }): Error | undefined {
  return cause === undefined ? undefined : new Error(cause);
}

function endedEarly(): ClusterError {
  return new ClusterError('INTERNAL', 'a worker thread ended before it was ready');
}
