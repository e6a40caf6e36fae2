// A session that writes to one space over one WebSocket at a time. Which batches are under way is the
// Outbox's; this connects, sends what may be sent, and hands the answers on.

import { ClusterError, latestPosition, type Observation } from '@engram/model';
import { errorOfProblem, Outbox, type AckMessage, type ServerMessage } from '@engram/session';
import { ConnectionError } from '../errors.ts';
import type { ApiKeySource } from '../http-transport.ts';
import { jitterMs } from '../retry.ts';
import { listOf } from '../observations.ts';
import type { PutResult } from '../types.ts';
import { pause, Signal, untilAborted } from '../waiting.ts';
import { encodeBatch, type BatchLimits } from './batches.ts';
import { Delivery } from './delivery.ts';
import { Link, type LinkEnd } from './link.ts';
import type { Sent, SessionOptions, SessionPutOptions } from './options.ts';
import { socketOpener, streamUrl, type Socket } from './socket.ts';

interface Part {
  readonly text: string;
  readonly items: number;
  readonly offset: number;
  readonly delivery: Delivery;
}

const BUFFER_BYTES_MAX = 16 * 1024 * 1024;
const GIVE_UP_AFTER_MS = 120_000;
/** Before the first session there is nothing to lose: a wrong url is to be told soon. */
const FIRST_WAIT_MAX_MS = 30_000;
const ACK_TIMEOUT_MS = 5_000;
/** A gateway says something more often while it has something to answer. */
const SILENCE_MS = 30_000;

/** Made by `client.session`. It connects when there is something to send. */
export class WriteSession implements AsyncDisposable {
  readonly #urls: readonly string[];
  readonly #apiKey: ApiKeySource | undefined;
  readonly #options: SessionOptions;
  readonly #outbox = new Outbox<Part>();
  /** Something was answered, or the session began or failed. */
  readonly #changed = new Signal();
  readonly #stop = new AbortController();
  #bytes = 0;
  #name: string | undefined;
  #limits: BatchLimits | undefined;
  #position: string | undefined;
  #link: Link | undefined;
  #isPaused = false;
  #isRunning = false;
  #isClosed = false;
  #failure: Error | undefined;
  /** The first that was refused of what was only sent. */
  #refusal: Error | undefined;
  /** Calls have their turn in the order in which they came. */
  #turn: Promise<unknown> = Promise.resolve();
  #place = 0;

  constructor(urls: readonly string[], apiKey: ApiKeySource | undefined, options: SessionOptions) {
    this.#apiKey = apiKey;
    this.#urls = urls.map(streamUrl);
    this.#options = options;
  }

  /** Covers all that was acknowledged; for `minPosition`. */
  get position(): string | undefined {
    return this.#position;
  }

  /**
   * Writes observations, after all that were given before. Resolves when they are acknowledged. What is
   * not acknowledged after an aborted wait may be stored all the same.
   * @throws ClusterError OBSERVATION_TOO_LARGE; those before it may be stored
   * @throws TypeError for what is no list, or cannot be JSON
   * @throws PartialFailure, or ClusterError when all were refused, unless `onPartial` is `return`
   * @throws ConnectionError when there was no connection for too long: they may be stored or not
   */
  async put(
    observations: readonly Observation[],
    options: SessionPutOptions = {},
  ): Promise<PutResult> {
    const { acknowledged } = await this.#inTurn(observations, options);
    return untilAborted(acknowledged, options.signal);
  }

  /**
   * The same without waiting for the acknowledgement. Resolves as soon as there is room for them, so a loop
   * over it goes as fast as the cluster and never holds more than `bufferBytesMax`. The observations must
   * not be changed before.
   */
  async send(observations: readonly Observation[], options: SessionPutOptions = {}): Promise<Sent> {
    const sent = await this.#inTurn(observations, options);
    sent.acknowledged.catch((error: unknown) => {
      this.#refusal ??= error as Error;
    });
    return sent;
  }

  /**
   * Resolves once all that was given is answered.
   * @throws what made the session fail, or the first refusal of what was sent since the last flush
   */
  async flush(): Promise<void> {
    await this.#turn;
    await this.#changed.until(
      () => this.#outbox.unanswered.length === 0 || this.#failure !== undefined,
    );
    const failure = this.#failure ?? this.#refusal;
    this.#refusal = undefined;
    if (failure !== undefined) throw failure;
  }

  /** Flushes, then ends the session. @throws as `flush` */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      await this.flush();
    } finally {
      this.#stop.abort();
      this.#link?.close();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #inTurn(observations: readonly Observation[], options: SessionPutOptions): Promise<Sent> {
    const sent = this.#turn.then(() => this.#enqueue(observations, options));
    this.#turn = sent.catch(() => undefined);
    return sent;
  }

  async #enqueue(
    given: readonly Observation[],
    { signal, onPartial }: SessionPutOptions,
  ): Promise<Sent> {
    const observations = listOf(given);
    signal?.throwIfAborted();
    if (this.#stop.signal.aborted) throw new Error('the session is closed');
    if (observations.length === 0)
      throw new ClusterError('EMPTY_BATCH', 'there is no observation to send');
    const delivery = new Delivery(observations.length, onPartial);
    for (let offset = 0; offset < observations.length;) {
      this.#begin();
      const limits = await this.#whenRoom(signal);
      const seq = this.#outbox.nextSeq;
      const isAtomic = this.#options.atomic ?? false;
      const { text, bytes, items } = encodeBatch(seq, observations, offset, limits, isAtomic);
      this.#outbox.add(items, bytes, { text, items, offset, delivery });
      this.#bytes += bytes;
      offset += items;
      this.#begin();
      this.#pump();
    }
    return { acknowledged: delivery.result };
  }

  async #whenRoom(signal: AbortSignal | undefined): Promise<BatchLimits> {
    const { bufferBytesMax = BUFFER_BYTES_MAX } = this.#options;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#limits !== undefined && this.#bytes < bufferBytesMax) return this.#limits;
      await untilAborted(this.#changed.next(), signal);
    }
  }

  #begin(): void {
    if (this.#isRunning || this.#failure !== undefined) return;
    this.#isRunning = true;
    void this.#run().catch((error: unknown) => this.#fail(error as Error));
  }

  /** Keeps a connection while something is to be sent, or the gateway lets it be. */
  async #run(): Promise<void> {
    const { giveUpAfterMs = GIVE_UP_AFTER_MS } = this.#options;
    const open = await socketOpener(this.#apiKey);
    let failures = 0;
    let lostAt = performance.now();
    do {
      const url = this.#urls[this.#place % this.#urls.length]!;
      const end = await this.#connect(await open(url));
      if (this.#failure !== undefined) return;
      if (end.wasOpened) [failures, lostAt] = [0, performance.now()];
      const { problem } = end;
      if (problem !== undefined && problem.retry === 'never') throw problem;
      const waitMaxMs =
        this.#name === undefined ? Math.min(giveUpAfterMs, FIRST_WAIT_MAX_MS) : giveUpAfterMs;
      if (performance.now() - lostAt >= waitMaxMs)
        throw new ConnectionError('unreachable', this.#urls, problem);
      this.#place++;
      if (this.#isDone) break;
      // A stop ends the pause, and then the loop.
      await pause(this.#pauseMs(end, failures++), this.#stop.signal).catch(() => undefined);
    } while (!this.#isDone && !this.#stop.signal.aborted);
    this.#isRunning = false;
  }

  get #isDone(): boolean {
    return this.#outbox.unanswered.length === 0 && this.#limits !== undefined;
  }

  #pauseMs({ reconnectAfterMs }: LinkEnd, failures: number): number {
    // Of several gateways another one is there.
    if (reconnectAfterMs !== undefined) return this.#urls.length > 1 ? 0 : reconnectAfterMs;
    return jitterMs(failures, Math.random);
  }

  async #connect(socket: Socket): Promise<LinkEnd> {
    const { space, ack, ackTimeoutMs = ACK_TIMEOUT_MS, lane, atomic } = this.#options;
    const resume =
      this.#name === undefined ? undefined : { session: this.#name, acked: this.#outbox.acked };
    const link = new Link({
      socket,
      open: JSON.stringify({ type: 'open', space, ack, ackTimeoutMs, lane, atomic, resume }),
      silenceMs: SILENCE_MS + ackTimeoutMs,
      isWaiting: () => this.#outbox.unanswered.length > 0,
      onOpened: ({ session, credit, batchItemsMax, messageBytesMax }) => {
        this.#name = session;
        this.#limits = { batchItemsMax, messageBytesMax };
        this.#outbox.connected(credit);
        this.#isPaused = false;
        this.#changed.notify();
        this.#pump();
      },
      onMessage: (message) => this.#receive(message),
    });
    this.#link = link;
    const end = await link.ended;
    this.#link = undefined;
    return end;
  }

  #receive(message: ServerMessage): void {
    switch (message.type) {
      case 'ack':
        return this.#answered(message);
      case 'slow':
        return this.#options.onPace?.({
          state: 'slow',
          reason: message.reason,
          detail: message.detail,
        });
      case 'pause': {
        const { reason, problem } = message;
        this.#isPaused = true;
        return this.#options.onPace?.({ state: 'paused', reason, detail: problem.detail });
      }
      case 'resume':
        this.#isPaused = false;
        this.#options.onPace?.(undefined);
        return this.#pump();
      case 'problem':
        // A batch that the gateway did not expect: one of the two sides has miscounted.
        if (message.seq !== undefined) this.#fail(errorOfProblem(message.problem));
        return;
      case 'opened':
      case 'goaway':
      case 'results':
      case 'end':
        return;
    }
  }

  #answered(message: AckMessage): void {
    const { upTo, refused = [] } = message;
    this.#position = latestPosition(this.#position, message.position);
    for (const { seq, bytes, payload } of this.#outbox.ack(upTo)) {
      this.#bytes -= bytes;
      const faults = refused.find((each) => each.seq === seq);
      payload.delivery.answered(payload, message, faults, this.#position);
    }
    this.#outbox.grant(message.credit);
    this.#pump();
    this.#changed.notify();
  }

  #pump(): void {
    const link = this.#link;
    if (link === undefined || !link.isOpened || link.isGoing || this.#isPaused) return;
    for (let next = this.#outbox.take(); next !== undefined; next = this.#outbox.take())
      link.send(next.payload.text);
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#isRunning = false;
    this.#link?.close();
    for (const { payload } of this.#outbox.unanswered) payload.delivery.fail(error);
    this.#changed.notify();
  }
}
