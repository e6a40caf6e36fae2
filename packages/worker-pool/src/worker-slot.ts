// One worker's thread with what waits for it: batches go out, answers come in, and when the thread ends
// another one takes its place.

import assert from 'node:assert/strict';
import type { TransferListItem } from 'node:worker_threads';
import { ClusterError } from '@engram/model';
import { backoffMs, type Clock } from '@engram/runtime';
import { batchSize, BatchTime, type BatchLimits } from './adaptive-batch.ts';
import { LaneQueues } from './lane-queues.ts';
import { Recovery } from './recovery.ts';
import type { WorkerThread } from './worker-thread.ts';

/** One is worked at while the next is on its way; a high task waits behind two at most. */
const BATCHES_UNDER_WAY = 2;
/** Ends in a row without an answer in between, after which a thread is not started again. */
const ENDS_MAX = 5;
const QUARANTINES_MAX = 3;
const BACKOFF_MS = { first: 20, most: 1_000 };

export type Outcome<A> =
  | { readonly kind: 'answered'; readonly answer: A }
  | { readonly kind: 'quarantined'; readonly error: ClusterError };

export interface Task<B, A> {
  readonly body: B;
  readonly settle: (outcome: Outcome<A>) => void;
  readonly fail: (error: ClusterError) => void;
}

export interface SlotOptions extends BatchLimits {
  readonly clock: Clock;
  readonly startThread: (onEnd: (error: ClusterError) => void) => Promise<WorkerThread>;
  readonly onCrash: (crash: {
    readonly error: ClusterError;
    readonly restarts: number;
    readonly inFlight: number;
  }) => void;
  /** Before the new thread gets any task. */
  readonly onRestarted: () => void;
  readonly onFailed: (error: ClusterError) => void;
}

export class WorkerSlot<B, A> {
  readonly queues = new LaneQueues<Task<B, A>>();
  readonly #options: SlotOptions;
  readonly #recovery = new Recovery<Task<B, A>>();
  readonly #stop = new AbortController();
  readonly #batchTime = new BatchTime();
  #underWay: (readonly Task<B, A>[])[] = [];
  #answeredAtMs = -Infinity;
  #thread: WorkerThread | undefined;
  #waitingForThread: (() => void)[] = [];
  #restarts = 0;
  #endsInARow = 0;
  /** Given up without an answer in between: a thread that ends on many ends on anything. */
  #quarantinesInARow = 0;
  #failure: ClusterError | undefined;
  #restarting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get busyMs(): number {
    return this.#thread?.busyMs ?? 0;
  }

  /** Why nothing is taken any more. */
  get failure(): ClusterError | undefined {
    return this.#failure ?? (this.#stop.signal.aborted ? shuttingDown() : undefined);
  }

  async start(): Promise<void> {
    this.#thread = await this.#options.startThread((error) => this.#ended(error));
  }

  /** Sends what can be sent. */
  pump(): void {
    const thread = this.#thread;
    if (thread === undefined) return;
    if (this.#recovery.isIsolating) {
      if (this.#underWay.length > 0) return;
      const suspect = this.#recovery.next();
      if (suspect !== undefined) this.#send(thread, [suspect], 0);
      return;
    }
    while (this.#underWay.length < BATCHES_UNDER_WAY) {
      const { batch, observations } = this.#takeBatch();
      if (batch.length === 0) return;
      this.#send(thread, batch, observations);
    }
  }

  /**
   * A question beside the queues; after an end of the thread, to the next one.
   * @throws ClusterError what the thread answered, PARTITION_UNAVAILABLE, or what ended it
   */
  async request(
    body: unknown,
    transfer: readonly TransferListItem[],
    timeoutMs: number,
  ): Promise<unknown> {
    const thread = await this.#threadWithin(timeoutMs);
    const answer = await thread.request(body, transfer);
    this.#endsInARow = 0;
    return answer;
  }

  /** Sends a message that needs no answer; lost while there is no thread. */
  post(body: unknown): void {
    this.#thread?.post(body);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    this.#wakeWaiting();
    await this.#thread?.close();
    await this.#restarting;
    await this.#thread?.close();
    this.#failAll(shuttingDown());
  }

  async #threadWithin(timeoutMs: number): Promise<WorkerThread> {
    if (!this.#takesQuestions && this.failure === undefined) {
      let wake = (): void => undefined;
      const restarted = new Promise<void>((resolve) => (wake = resolve));
      this.#waitingForThread.push(wake);
      const over = new AbortController();
      await Promise.race([restarted, this.#options.clock.sleep(timeoutMs, over.signal)]);
      over.abort();
    }
    const { failure } = this;
    if (failure !== undefined) throw failure;
    if (this.#thread !== undefined && this.#takesQuestions) return this.#thread;
    throw new ClusterError(
      'PARTITION_UNAVAILABLE',
      'the worker of the space is being started again',
    );
  }

  /** A suspect is tried with nothing beside it, or a question that ends threads would be laid on it. */
  get #takesQuestions(): boolean {
    return this.#thread !== undefined && !this.#recovery.isIsolating;
  }

  #takeBatch(): { readonly batch: Task<B, A>[]; readonly observations: number } {
    const deep = batchSize(this.queues.observations, this.#options);
    const size = Math.max(this.#options.minBatch, Math.min(deep, this.#batchTime.observationsMax));
    const batch: Task<B, A>[] = [];
    let observations = 0;
    while (observations < size) {
      const taken = this.queues.take();
      if (taken === undefined) break;
      batch.push(taken.item);
      observations += Math.max(1, taken.cost.observations);
    }
    return { batch, observations };
  }

  #send(thread: WorkerThread, batch: readonly Task<B, A>[], observations: number): void {
    const { clock } = this.#options;
    const sentAtMs = clock.now();
    this.#underWay.push(batch);
    thread.request({ verb: 'batch', tasks: batch.map(({ body }) => body) }).then(
      (answers) => {
        if (!this.#end(batch)) return;
        assert(
          Array.isArray(answers) && answers.length === batch.length,
          'a worker answers each task of a batch',
        );
        const nowMs = clock.now();
        this.#batchTime.note(observations, nowMs - Math.max(sentAtMs, this.#answeredAtMs));
        this.#answeredAtMs = nowMs;
        batch.forEach(({ settle }, i) => settle({ kind: 'answered', answer: answers[i] as A }));
        this.pump();
      },
      (error: unknown) => {
        // When the thread has ended its end decides what becomes of the batch.
        if (thread.hasEnded || !this.#end(batch)) return;
        for (const { fail } of batch) fail(ClusterError.from(error));
        this.pump();
      },
    );
  }

  #end(batch: readonly Task<B, A>[]): boolean {
    if (!this.#underWay.includes(batch)) return false;
    this.#underWay = this.#underWay.filter((each) => each !== batch);
    this.#recovery.answered();
    if (this.#takesQuestions) this.#wakeWaiting();
    this.#endsInARow = 0;
    this.#quarantinesInARow = 0;
    return true;
  }

  #ended(error: ClusterError): void {
    this.#thread = undefined;
    if (this.#stop.signal.aborted) return;
    const underWay = this.#underWay.flat();
    this.#underWay = [];
    this.#endsInARow++;
    const given = this.#recovery.crashed(underWay);
    this.#options.onCrash({ error, restarts: this.#restarts, inFlight: underWay.length });
    if (given !== undefined) {
      // The one is found: what comes after it deserves a new count.
      if (++this.#quarantinesInARow < QUARANTINES_MAX) this.#endsInARow = 0;
      given.settle({ kind: 'quarantined', error: crashedTwice(error) });
    }
    this.#restarting = this.#restart(error);
  }

  async #restart(cause: ClusterError): Promise<void> {
    const { onRestarted, onFailed } = this.#options;
    const next = await this.#nextThread(cause);
    if (next instanceof ClusterError) {
      this.#failure = next;
      this.#wakeWaiting();
      this.#failAll(next);
      onFailed(next);
    } else if (this.#stop.signal.aborted) {
      await next?.close();
    } else if (next !== undefined) {
      this.#restarts++;
      this.#thread = next;
      onRestarted();
      if (this.#takesQuestions) this.#wakeWaiting();
      this.pump();
    }
  }

  /** Starts threads until one is ready; why it gave up, or undefined when the slot is closed. */
  async #nextThread(cause: ClusterError): Promise<WorkerThread | ClusterError | undefined> {
    const { clock, startThread } = this.#options;
    const { signal } = this.#stop;
    for (let last = cause; ;) {
      if (this.#endsInARow > ENDS_MAX) return last;
      const { first, most } = BACKOFF_MS;
      await clock.sleep(
        backoffMs(this.#endsInARow - 1, first, most, () => 1),
        signal,
      );
      if (signal.aborted) return undefined;
      try {
        return await startThread((error) => this.#ended(error));
      } catch (error) {
        last = ClusterError.from(error);
        this.#endsInARow++;
      }
    }
  }

  #wakeWaiting(): void {
    for (const wake of this.#waitingForThread.splice(0)) wake();
  }

  #failAll(error: ClusterError): void {
    const begun = [...this.#underWay.flat(), ...this.#recovery.end()];
    this.#underWay = [];
    for (const { fail } of begun) fail(error);
    for (let taken = this.queues.take(); taken !== undefined; taken = this.queues.take())
      taken.item.fail(error);
  }
}

function crashedTwice(cause: ClusterError): ClusterError {
  return new ClusterError('WORKER_CRASHED', `its worker ended twice on it: ${cause.message}`, {
    cause,
  });
}

function shuttingDown(): ClusterError {
  return new ClusterError('SHUTTING_DOWN', 'the workers are being stopped');
}
