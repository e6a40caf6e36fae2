// Writes a stream of observations, as fast as the cluster takes it and no faster.
//
//   P1. No more waits here than `maxBatchBytes` for each batch under way and two more: `write` waits.
//   P2. Of the writes of one id the last one wins: batches that share an id are never under way together.
//   P3. Everything that `write` took is acknowledged, refused, or named by the failure.
//   P4. While one batch is refused no other one begins.

import type { Observation } from '@engram/model';
import { Signal } from '../waiting.ts';
import { AckQueue } from './ack-queue.ts';
import { BatchSize } from './batch-size.ts';
import { Batch, rowOf, type Row } from './batch.ts';
import { deliver, type Put } from './delivery.ts';
import {
  ProducerFailure,
  type Acknowledged,
  type Produced,
  type ProducerOptions,
  type Rejected,
} from './options.ts';

const DEFAULTS = {
  maxBatchBytes: 1024 * 1024,
  maxBatchCount: 1_000,
  lingerMs: 20,
  maxInFlight: 4,
  retryForMs: 300_000,
  random: Math.random,
} satisfies ProducerOptions;

interface Begun {
  readonly batch: Batch;
  acknowledged?: Acknowledged;
}

export class Producer implements AsyncDisposable {
  readonly #put: Put;
  readonly #options: ProducerOptions & typeof DEFAULTS;
  readonly #size: BatchSize;
  readonly #stop = new AbortController();
  /** A batch is done, or the producer failed. */
  readonly #changed = new Signal();
  /** Cut, and not begun. */
  readonly #queue: Batch[] = [];
  /** Begun, in their order; one that is done stays until those before it are. */
  readonly #begun: Begun[] = [];
  readonly #rejected: Rejected[] = [];
  readonly #unsent: Observation[] = [];
  #open = new Batch();
  #linger: ReturnType<typeof setTimeout> | undefined;
  #bytes = 0;
  #inFlight = 0;
  #waiting = 0;
  #turn: Promise<void> = Promise.resolve();
  #produced: Produced = { accepted: 0, rejected: 0 };
  #failure: ProducerFailure | undefined;
  #closing: Promise<Produced> | undefined;
  #acks: AckQueue | undefined;

  /** @param put tries once */
  constructor(put: Put, options: ProducerOptions = {}) {
    this.#put = put;
    this.#options = { ...DEFAULTS, ...options };
    this.#size = new BatchSize(this.#options.maxBatchCount);
    const { signal } = options;
    if (signal?.aborted === true) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * Takes an observation; waits while as much as may be is under way (P1).
   * @throws ProducerFailure once the producer has failed; Error after `close`; TypeError for what is no
   *   observation, which changes nothing
   */
  async write(observation: Observation): Promise<void> {
    if (this.#closing !== undefined) throw new Error('the producer is closed');
    const row = rowOf(observation);
    // One after the other, so that writes that nobody waited for keep their order.
    const turn = this.#turn.then(() => this.#add(row));
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  /**
   * Writes all of a source, which is read as the cluster takes it, and gives the acknowledgement of each
   * batch in order. Leaving the loop stops reading; what was taken is still written.
   * @throws ProducerFailure, or what the source throws
   */
  async *from(
    source: AsyncIterable<Observation> | Iterable<Observation>,
  ): AsyncGenerator<Acknowledged, void, void> {
    const acks = (this.#acks = new AckQueue());
    const reading = this.#read(source, acks);
    try {
      yield* acks;
      await reading;
    } finally {
      acks.leave();
      if (this.#acks === acks) this.#acks = undefined;
    }
  }

  /** Waits until all that was written before is acknowledged. @throws ProducerFailure */
  async flush(): Promise<Produced> {
    await this.#turn;
    this.#cut();
    await this.#changed.until(() => this.#inFlight === 0 && this.#queue.length === 0);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#produced;
  }

  /** The same, and takes no more. Memoised. */
  close(): Promise<Produced> {
    return (this.#closing ??= this.flush().finally(() => {
      clearTimeout(this.#linger);
      this.#options.signal?.removeEventListener('abort', this.#onAbort);
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #onAbort = () => {
    this.#stop.abort(this.#options.signal?.reason);
    this.#fail(this.#options.signal?.reason);
    // A source that is silent would be waited for.
    this.#acks?.fail(this.#failure);
  };

  async #read(
    source: AsyncIterable<Observation> | Iterable<Observation>,
    acks: AckQueue,
  ): Promise<void> {
    try {
      for await (const observation of source) {
        await this.write(observation);
        await acks.room();
        if (acks.isLeft) return;
      }
      await this.flush();
      acks.end();
    } catch (error) {
      // The failure is whole once nothing is under way.
      await this.flush().catch(() => undefined);
      acks.fail(error);
    }
  }

  async #add(row: Row): Promise<void> {
    const { maxBatchBytes, maxInFlight, lingerMs } = this.#options;
    const bytesMax = maxBatchBytes * (maxInFlight + 2);
    const fits = () => this.#bytes === 0 || this.#bytes + row.bytes <= bytesMax;
    if (!fits()) {
      this.#cut();
      await this.#changed.until(() => fits() || this.#failure !== undefined);
    }
    if (this.#failure !== undefined) throw this.#failure;
    const open = this.#open;
    if (open.has(row.observation.id) || open.bytes + row.bytes > maxBatchBytes) this.#cut();
    this.#open.add(row);
    this.#bytes += row.bytes;
    if (this.#open.rows.length >= this.#size.value) this.#cut();
    else this.#linger ??= setTimeout(() => this.#cut(), lingerMs);
  }

  #cut(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (this.#open.rows.length === 0) return;
    this.#queue.push(this.#open);
    this.#open = new Batch();
    this.#pump();
  }

  #pump(): void {
    while (this.#waiting === 0 && this.#inFlight < this.#options.maxInFlight) {
      const [next] = this.#queue;
      if (next === undefined) return;
      if (this.#begun.some(({ batch }) => !batch.isDone && batch.meets(next))) return; // P2
      this.#queue.shift();
      void this.#send(next);
    }
  }

  /** Never rejects. */
  async #send(batch: Batch): Promise<void> {
    const place: Begun = { batch };
    this.#begun.push(place);
    this.#inFlight++;
    const left = [...batch.rows];
    try {
      place.acknowledged = await deliver(left, {
        put: this.#put,
        size: this.#size,
        retryForMs: this.#options.retryForMs,
        random: this.#options.random,
        signal: this.#stop.signal,
        onWaiting: (isWaiting) => {
          this.#waiting += isWaiting ? 1 : -1; // P4
          if (!isWaiting) this.#pump();
        },
        onRejected: (rejected) => this.#onRejected(rejected),
      });
    } catch (error) {
      this.#unsent.push(...left.map(({ observation }) => observation));
      this.#fail(error);
    }
    batch.isDone = true;
    this.#inFlight--;
    this.#bytes -= batch.bytes;
    this.#acknowledge();
    this.#pump();
    this.#changed.notify();
  }

  #onRejected(rejected: readonly Rejected[]): void {
    const { onRejected } = this.#options;
    if (onRejected !== undefined) {
      onRejected(rejected);
      return;
    }
    this.#rejected.push(...rejected);
    const [first] = rejected;
    const why = first === undefined ? '' : `: ${first.error.code}, ${first.error.detail}`;
    this.#fail(new Error(`the cluster refuses observations${why}`));
  }

  /** Those at the head that are done, so that acknowledgements come in order. */
  #acknowledge(): void {
    for (let head = this.#begun[0]; head?.batch.isDone === true; head = this.#begun[0]) {
      this.#begun.shift();
      const { acknowledged } = head;
      if (acknowledged === undefined) continue;
      const { accepted, rejected, position = this.#produced.position } = acknowledged;
      this.#produced = {
        accepted: this.#produced.accepted + accepted,
        rejected: this.#produced.rejected + rejected,
        ...(position === undefined ? {} : { position }),
      };
      this.#acks?.push(acknowledged);
    }
  }

  /** What has not begun never will (P3). */
  #fail(cause: unknown): void {
    for (const batch of [...this.#queue.splice(0), this.#open]) {
      this.#unsent.push(...batch.rows.map(({ observation }) => observation));
      this.#bytes -= batch.bytes;
    }
    this.#open = new Batch();
    clearTimeout(this.#linger);
    this.#linger = undefined;
    this.#failure ??= new ProducerFailure(cause, this.#rejected, this.#unsent);
    this.#changed.notify();
  }
}
