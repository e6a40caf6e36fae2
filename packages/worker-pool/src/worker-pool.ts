import type { ResourceLimits, TransferListItem } from 'node:worker_threads';
import { fnv1a32, type ClusterError, type Lane, type PerLane } from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { BatchLimits } from './adaptive-batch.ts';
import { LaneBudget } from './lane-budget.ts';
import type { Cost } from './lane-queues.ts';
import { WorkerSlot, type Outcome } from './worker-slot.ts';
import { WorkerThread } from './worker-thread.ts';

export interface PoolOptions extends BatchLimits {
  /** A built JavaScript file that calls `serveThread`; it answers `{verb: 'batch', tasks}` in order. */
  readonly entry: URL;
  readonly workerData?: (worker: number) => unknown;
  readonly resourceLimits?: ResourceLimits;
  readonly readyTimeoutMs: number;
  readonly count: number;
  /** Bounds of what is queued or at work, over all workers. */
  readonly lanes: PerLane<Cost>;
  readonly clock: Clock;
  readonly onCrash: (crash: {
    readonly worker: number;
    readonly error: ClusterError;
    /** Restarts before this one. */
    readonly restarts: number;
    /** Tasks that were under way. */
    readonly inFlight: number;
  }) => void;
  /** What a thread tells unasked. */
  readonly onNews?: (worker: number, news: unknown) => void;
  /** Its memory is gone; called before it gets any task again. */
  readonly onRestarted: (worker: number) => void;
  readonly onFailed: (error: ClusterError) => void;
}

export interface NewTask<B> {
  /** All work of one key meets the same worker, in order; in a lane the keys get the same share. */
  readonly key: string;
  readonly lane: Lane;
  readonly cost: Cost;
  readonly body: B;
}

/** A question to a worker that is being started again waits so long. */
const RESTART_WAIT_MS = 5_000;

/** Threads with affinity, each behind three lanes, that survive the end of any of them. */
export class WorkerPool<B, A> implements AsyncDisposable {
  readonly #slots: readonly WorkerSlot<B, A>[];
  readonly #budget: LaneBudget;
  readonly #clock: Clock;

  private constructor(slots: readonly WorkerSlot<B, A>[], { lanes, clock }: PoolOptions) {
    this.#slots = slots;
    this.#budget = new LaneBudget(lanes);
    this.#clock = clock;
  }

  static async start<B, A>(options: PoolOptions): Promise<WorkerPool<B, A>> {
    const { entry, readyTimeoutMs, workerData, resourceLimits } = options;
    let isOpen = false;
    // An owner that does not have the pool yet cannot look after a thread: then it has no pool.
    let early: ClusterError | undefined;
    const slots = Array.from(
      { length: options.count },
      (_, worker) =>
        new WorkerSlot<B, A>({
          ...options,
          startThread: (onEnd) =>
            WorkerThread.start(
              {
                entry,
                readyTimeoutMs,
                ...(workerData === undefined ? {} : { workerData: workerData(worker) }),
                ...(resourceLimits === undefined ? {} : { resourceLimits }),
              },
              { onEnd, onNews: (news) => options.onNews?.(worker, news) },
            ),
          onCrash: (crash) => {
            if (isOpen) options.onCrash({ worker, ...crash });
            else early ??= crash.error;
          },
          onRestarted: () => {
            if (isOpen) options.onRestarted(worker);
          },
          onFailed: (error) => {
            if (isOpen) options.onFailed(error);
          },
        }),
    );
    const settled = await Promise.allSettled(slots.map((slot) => slot.start()));
    const rejected = settled.find((result) => result.status === 'rejected');
    isOpen = rejected === undefined && early === undefined;
    if (isOpen) return new WorkerPool(slots, options);
    await Promise.all(slots.map((slot) => slot.close()));
    throw rejected?.reason ?? early;
  }

  /**
   * Queues a task for its key's worker; undefined when its lane is full.
   * @throws ClusterError (by rejection) what the worker answered, or why it does not run any more
   */
  submit({ key, lane, cost, body }: NewTask<B>): Promise<Outcome<A>> | undefined {
    const slot = this.#slots[this.workerOf(key)]!;
    const { failure } = slot;
    if (failure !== undefined) return Promise.reject(failure);
    if (!this.#budget.take(lane, cost)) return undefined;
    return new Promise<Outcome<A>>((resolve, reject) => {
      const settle = (outcome: Outcome<A>) => {
        this.#budget.giveBack(lane, cost);
        resolve(outcome);
      };
      const fail = (error: ClusterError) => {
        this.#budget.giveBack(lane, cost);
        reject(error);
      };
      slot.queues.push(lane, key, { body, settle, fail }, cost, this.#clock.now());
      slot.pump();
    });
  }

  /** Whether a task of this cost would be taken now. */
  hasRoom(lane: Lane, cost: Cost): boolean {
    return this.#budget.fits(lane, cost);
  }

  room(lane: Lane): Cost {
    return this.#budget.room(lane);
  }

  /** What is queued or at work. */
  used(lane: Lane): Cost {
    return this.#budget.used(lane);
  }

  /** What waits and is not at work yet. */
  depth(lane: Lane): { readonly items: number } & Cost {
    const total = { items: 0, observations: 0, bytes: 0 };
    for (const { queues } of this.#slots) {
      const { items, observations, bytes } = queues.depth(lane);
      total.items += items;
      total.observations += observations;
      total.bytes += bytes;
    }
    return total;
  }

  /** How long the oldest that waits has waited, 0 where none does. */
  oldestAgeMs(lane: Lane): number {
    const oldest = this.#slots.map(({ queues }) => queues.oldestAtMs(lane) ?? Infinity);
    return Math.max(0, this.#clock.now() - Math.min(this.#clock.now(), ...oldest));
  }

  get count(): number {
    return this.#slots.length;
  }

  workerOf(key: string): number {
    // Spaces of one shard share its partitions, so the hash's low bits are taken: mix in the high.
    const hash = fnv1a32(key);
    return ((hash >>> 16) ^ (hash >>> 8)) % this.#slots.length;
  }

  /**
   * A question to the key's worker, beside the lanes.
   * @throws ClusterError what the worker answered; PARTITION_UNAVAILABLE when its thread ended before it
   *   did, or is not there again in time
   */
  request(
    key: string,
    body: unknown,
    transfer: readonly TransferListItem[] = [],
  ): Promise<unknown> {
    return this.requestTo(this.workerOf(key), body, transfer);
  }

  requestTo(
    worker: number,
    body: unknown,
    transfer: readonly TransferListItem[] = [],
  ): Promise<unknown> {
    return this.#slots[worker]!.request(body, transfer, RESTART_WAIT_MS);
  }

  requestAll(body: unknown): Promise<unknown[]> {
    return Promise.all(this.#slots.map((_, worker) => this.requestTo(worker, body)));
  }

  /** A message that needs no answer; a worker that is being started again does not get it. */
  post(worker: number, body: unknown): void {
    this.#slots[worker]!.post(body);
  }

  /** How long the worker's thread was busy since its start; one that was started again begins at 0. */
  busyMs(worker: number): number {
    return this.#slots[worker]!.busyMs;
  }

  restarts(worker: number): number {
    return this.#slots[worker]!.restarts;
  }

  async close(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
