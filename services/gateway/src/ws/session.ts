// An open session on one connection. What it knows is in @engram/session's Intake; this does what follows.

import { randomUUID } from 'node:crypto';
import { ClusterError, DEFAULT_LANE, type SpaceConfig } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import {
  Intake,
  problemOf,
  windowOf,
  windowShare,
  type BatchMessage,
  type OpenedMessage,
  type OpenMessage,
  type ServerMessage,
  type WindowLimits,
} from '@engram/session';
import type { Asker } from '../admission/limits.ts';
import type { WriteSlots } from '../admission/write-slots.ts';
import { may, requireScope, type Principal } from '../auth/principal.ts';
import { findSpace } from '../http/find-space.ts';
import type { Ingest } from '../ingest/ingest.ts';
import { Acknowledger, type Answer } from './acknowledger.ts';
import type { Backlog } from './backlog.ts';
import { NO_LOAD, type Load } from './lag.ts';
import { SessionRecalls, type RecallsOptions } from './recalls.ts';
import { SessionWriter, type TakenBatch } from './writer.ts';

/** What all sessions of a gateway share. */
export interface SessionContext extends RecallsOptions {
  readonly ingest: Pick<Ingest, 'put' | 'reach'>;
  readonly lagOf: (space: SpaceConfig['space'], lane: NonNullable<OpenMessage['lane']>) => Load;
  readonly backlog: Backlog;
  readonly slots: Pick<WriteSlots, 'enter'>;
  readonly idleMs: number;
  readonly messageBytesMax: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** What a session does to its connection. */
export interface SessionLink {
  /** Whom what it asks for is counted for, beside its space. */
  readonly caller: Asker['caller'];
  readonly principal: Principal;
  /** Resolves once the socket has taken it; never throws. */
  readonly send: (message: ServerMessage) => Promise<void>;
  readonly pauseReading: () => void;
  readonly resumeReading: () => void;
  readonly onAnswered: () => void;
}

/** A frame of the log has some hundred observations; larger batches only wait longer for their answer. */
const BATCH_ITEMS_MAX = 1_000;
/** What may be unanswered at a time, in largest batches: enough to hide the way to the log and back. */
const WINDOW_BATCHES = 4;
const WINDOW_ITEMS = 10_000;

export class Session {
  readonly opened: OpenedMessage;
  readonly recalls: SessionRecalls;
  readonly #open: OpenMessage;
  readonly #context: SessionContext;
  readonly #link: SessionLink;
  readonly #limits: WindowLimits;
  readonly #intake: Intake;
  readonly #writer: SessionWriter;
  readonly #acknowledger: Acknowledger;
  readonly #ended = new AbortController();
  #isPaused = false;
  #isReading = true;
  /** As the client was told it last. */
  #load = NO_LOAD;

  private constructor(
    open: OpenMessage,
    config: SpaceConfig,
    context: SessionContext,
    link: SessionLink,
  ) {
    const { messageBytesMax, idleMs, directory, ingest, limits, slots, tracing, clock, logger } =
      context;
    const { resume, ack: level, ackTimeoutMs: timeoutMs } = open;
    const session = resume?.session ?? randomUUID();
    const asker: Asker = { spaces: [open.space], caller: link.caller };
    this.#open = open;
    this.#context = context;
    this.#link = link;
    this.#limits = {
      most: { items: WINDOW_ITEMS, bytes: WINDOW_BATCHES * messageBytesMax },
      least: { items: BATCH_ITEMS_MAX, bytes: messageBytesMax },
    };
    this.#intake = new Intake(resume?.acked ?? 0);
    this.#intake.open(windowOf(this.#loadNow().share, this.#limits));
    this.recalls = new SessionRecalls(open.space, asker, link.principal, context, link.send);
    this.#acknowledger = new Acknowledger({
      ingest,
      ack: { level, timeoutMs },
      onAnswer: (answer) => this.#answer(answer),
    });
    this.#writer = new SessionWriter({
      session,
      open,
      directory,
      ingest,
      limits,
      slots,
      asker,
      principal: link.principal,
      tracing,
      clock,
      logger,
      signal: this.#ended.signal,
      onWritten: (written, batch) => {
        this.#forget(batch);
        this.#acknowledger.add(written);
      },
      onPause: (error, retryAfterMs) => this.#pause(error, retryAfterMs),
      onResume: () => this.#resume(),
    });
    this.opened = {
      type: 'opened',
      session,
      space: config.space,
      dimension: config.dimension,
      acked: this.#intake.acked,
      credit: this.#intake.granted,
      batchItemsMax: BATCH_ITEMS_MAX,
      messageBytesMax,
      idleMs,
    };
  }

  /** @throws ClusterError FORBIDDEN, SPACE_NOT_FOUND, LOG_UNAVAILABLE */
  static async open(
    open: OpenMessage,
    context: SessionContext,
    link: SessionLink,
  ): Promise<Session> {
    const { principal } = link;
    const { space } = open;
    // Who may only read recalls; a batch is judged when it comes.
    if (!may(principal, 'read', space)) requireScope(principal, 'write', space);
    const config = await findSpace(context.directory, principal, space, '/space');
    return new Session(open, config, context, link);
  }

  /** Nothing is taken at this moment. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** A batch is not answered yet. */
  get isWriting(): boolean {
    return this.#intake.pending > 0;
  }

  /** A batch or a recall is not answered yet. */
  get isBusy(): boolean {
    return this.isWriting || this.recalls.isBusy;
  }

  /** @returns why the batch is not taken. @throws ClusterError FORBIDDEN */
  offer({ seq, observations }: BatchMessage, bytes: Uint8Array): ClusterError | undefined {
    requireScope(this.#link.principal, 'write', this.#open.space);
    const items = Array.isArray(observations) ? observations.length : 1;
    const offer = this.#intake.offer(seq, items, bytes.length);
    switch (offer.kind) {
      case 'duplicate':
        return new ClusterError('SEQUENCE_DUPLICATE', `batch ${seq} was taken before`, {
          pointer: '/seq',
          details: { acked: offer.acked },
        });
      case 'gap':
        return new ClusterError(
          'SEQUENCE_GAP',
          `batch ${seq} came, and batch ${offer.expected} did not: it is not taken`,
          { pointer: '/seq', details: { expected: offer.expected } },
        );
      case 'over': {
        const { granted, asked } = offer;
        return new ClusterError(
          'CREDIT_EXCEEDED',
          `with batch ${seq} it would be ${asked.items} observations and ${asked.bytes} bytes; ${granted.items} and ${granted.bytes} are granted`,
          {
            hint: 'connect again and resume; send no more than the credit of opened and of each ack, which counts from the beginning of the connection',
            details: { items: granted.items, bytes: granted.bytes },
          },
        );
      }
      case 'taken': {
        this.#context.backlog.enter(bytes.length);
        this.#writer.add({ seq, items, bytes, observations });
        // Credit bounds each session; this bounds all of them together.
        if (this.#isReading && this.#context.backlog.fill >= 1) {
          this.#isReading = false;
          this.#link.pauseReading();
        }
        return undefined;
      }
    }
  }

  /** Nothing more is written, except what is on its way to the log. */
  close(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    this.recalls.close();
    for (const { bytes } of this.#writer.waiting) this.#context.backlog.leave(bytes.length);
  }

  #forget({ bytes }: TakenBatch): void {
    this.#context.backlog.leave(bytes.length);
    if (this.#isReading || this.#writer.waiting.length > 0) return;
    this.#isReading = true;
    this.#link.resumeReading();
  }

  #answer({ upTo, level, position, refused }: Answer): void {
    if (this.#ended.signal.aborted) return;
    this.#intake.ack(upTo);
    const load = this.#loadNow();
    this.#intake.open(windowOf(load.share, this.#limits));
    void this.#link.send({
      type: 'ack',
      upTo,
      level,
      ...(position === undefined ? {} : { position }),
      ...(refused.length === 0 ? {} : { refused }),
      credit: this.#intake.granted,
    });
    this.#tell(load);
    this.#link.onAnswered();
  }

  /** Of the shards behind the log, and of this gateway. */
  #loadNow(): Load {
    const { space, lane = DEFAULT_LANE } = this.#open;
    const lag = this.#context.lagOf(space, lane);
    const share = windowShare(this.#context.backlog.fill);
    if (lag.share <= share) return lag;
    return { share, reason: 'backlog', detail: 'the gateway has much that is not in the log yet' };
  }

  #tell(load: Load): void {
    const { share, reason } = load;
    const before = this.#load;
    // Small changes are seen by the credit itself.
    const isNews =
      reason !== before.reason || share <= before.share / 2 || share >= before.share * 2;
    if (!isNews) return;
    this.#load = load;
    if (share < 1) void this.#link.send({ type: 'slow', ...load });
    else if (!this.#isPaused) void this.#link.send({ type: 'resume' });
  }

  #pause(error: ClusterError, retryAfterMs: number): void {
    this.#isPaused = true;
    const { cause } = error.details;
    const reason = typeof cause === 'string' ? cause : error.code;
    void this.#link.send({ type: 'pause', reason, problem: problemOf(error), retryAfterMs });
    this.#link.onAnswered();
  }

  #resume(): void {
    this.#isPaused = false;
    void this.#link.send({ type: 'resume' });
  }
}
