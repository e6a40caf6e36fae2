// Recalls of a session: their results come in increments, as the client takes them.

import type { SpaceDirectory } from '@engram/log';
import { ClusterError } from '@engram/model';
import type { Clock } from '@engram/runtime';
import {
  problemOf,
  type RecallControl,
  type RecallMessage,
  type ServerMessage,
} from '@engram/session';
import { traced, type Tracing } from '@engram/tracing';
import { Ajv } from 'ajv';
import type { Static } from 'typebox';
import type { Asker, Limits } from '../admission/limits.ts';
import { requireScope, type Principal } from '../auth/principal.ts';
import { findSpace } from '../http/find-space.ts';
import { validationError } from '../http/problem.ts';
import { toQuery } from '../http/routes/recall.ts';
import { RecallBody } from '../http/schemas.ts';
import { countRecall, type GatewayMetrics } from '../metrics.ts';
import type { RecallStream } from '../recall/recall-stream.ts';
import type { Recall } from '../recall/recall.ts';

export interface RecallsOptions {
  readonly directory: Pick<SpaceDirectory, 'find' | 'list'>;
  readonly recall: Pick<Recall, 'stream'>;
  readonly limits: Pick<Limits, 'enter'>;
  readonly metrics: Pick<GatewayMetrics, 'recalls' | 'recallsBySpace'>;
  readonly tracing: Tracing;
  readonly clock: Clock;
}

/** At one time in a session. */
const RECALLS_MAX = 8;
/** Results in one message, and numbers of their embeddings where those are asked for. */
const RESULTS_MAX = 100;
const NUMBERS_MAX = 16 * 1024;
/** As long as a shard keeps the place of a stream. */
const PAUSE_MS_MAX = 30_000;

const isRecallBody = new Ajv({ useDefaults: true, coerceTypes: false, strict: false }).compile<
  Static<typeof RecallBody>
>(RecallBody);

/** One that runs: who waits for its client to go on, and whether it still is to. */
class Running {
  isCancelled = false;
  #isPaused = false;
  #go: (() => void) | undefined;

  control(type: RecallControl['type']): void {
    this.#isPaused = type === 'pause';
    if (type === 'cancel') this.isCancelled = true;
    if (this.#isPaused) return;
    this.#go?.();
    this.#go = undefined;
  }

  /** @returns false when it was paused for too long */
  async whenFlowing(clock: Clock): Promise<boolean> {
    while (this.#isPaused) {
      const goes = new AbortController();
      this.#go = () => goes.abort();
      await clock.sleep(PAUSE_MS_MAX, goes.signal);
      if (!goes.signal.aborted) return false;
    }
    return true;
  }
}

export class SessionRecalls {
  readonly #space: string;
  readonly #asker: Asker;
  readonly #principal: Principal;
  readonly #options: RecallsOptions;
  readonly #send: (message: ServerMessage) => Promise<void>;
  readonly #running = new Map<string, Running>();

  /** @param send resolves once the socket has taken the message */
  constructor(
    space: string,
    asker: Asker,
    principal: Principal,
    options: RecallsOptions,
    send: (message: ServerMessage) => Promise<void>,
  ) {
    this.#space = space;
    this.#asker = asker;
    this.#principal = principal;
    this.#options = options;
    this.#send = send;
  }

  get isBusy(): boolean {
    return this.#running.size > 0;
  }

  /** @throws ClusterError FORBIDDEN, SESSION_STATE, BACKPRESSURE; what comes later is told in a message */
  start({ recall, query }: RecallMessage): void {
    requireScope(this.#principal, 'read', this.#space);
    if (this.#running.has(recall))
      throw new ClusterError('SESSION_STATE', 'a recall of this name still runs', {
        pointer: '/recall',
      });
    if (this.#running.size >= RECALLS_MAX)
      throw new ClusterError('BACKPRESSURE', `${RECALLS_MAX} recalls of this session still run`, {
        hint: 'cancel one, or wait for its end',
      });
    const running = new Running();
    this.#running.set(recall, running);
    void this.#run(recall, query, running);
  }

  /** Nothing for a recall that has ended: the client may not have heard of that yet. */
  control({ type, recall }: RecallControl): void {
    this.#running.get(recall)?.control(type);
  }

  close(): void {
    for (const running of this.#running.values()) running.control('cancel');
  }

  async #run(name: string, query: RecallMessage['query'], running: Running): Promise<void> {
    let stream: RecallStream | undefined;
    let leave: (() => void) | undefined;
    try {
      leave = this.#options.limits.enter(this.#asker, 'read');
      const config = await findSpace(
        this.#options.directory,
        this.#principal,
        this.#space,
        '/space',
      );
      const body: unknown = { ...query };
      if (!isRecallBody(body))
        throw validationError({ validation: isRecallBody.errors ?? [], validationContext: 'body' });
      const span = this.#options.tracing.begin('STREAM recall', undefined, { kind: 'server' });
      const asked = { ...toQuery(body, config), span };
      stream = await traced(span, () => this.#options.recall.stream([config], asked));
      countRecall(this.#options.metrics, [config], stream.degraded);
      const countMax = body.include.includes('embedding')
        ? Math.max(1, Math.min(RESULTS_MAX, Math.floor(NUMBERS_MAX / config.dimension)))
        : RESULTS_MAX;
      await this.#give(name, stream, running, countMax);
    } catch (thrown) {
      const problem = problemOf(ClusterError.from(thrown));
      await this.#send({ type: 'problem', problem, recall: name });
    } finally {
      stream?.close();
      leave?.();
      this.#running.delete(name);
    }
  }

  async #give(
    recall: string,
    stream: RecallStream,
    running: Running,
    countMax: number,
  ): Promise<void> {
    const source = stream.results();
    let results: object[] = [];
    while (!running.isCancelled) {
      const { value, done } = await source.next();
      if (done !== true) {
        const { space: _same, ...result } = value;
        results.push(result);
        if (results.length < countMax) continue;
      }
      if (!(await running.whenFlowing(this.#options.clock)))
        throw new ClusterError('CURSOR_EXPIRED', `the recall was paused for ${PAUSE_MS_MAX} ms`);
      if (running.isCancelled) break;
      if (results.length > 0) await this.#send({ type: 'results', recall, results });
      results = [];
      if (done !== true) continue;
      const { watermarks, ...end } = value;
      const watermark = watermarks[this.#space];
      const place = watermark === undefined ? {} : { watermark };
      return this.#send({ type: 'end', recall, end: { ...end, ...place } });
    }
    throw new ClusterError('CURSOR_EXPIRED', 'the recall was cancelled');
  }
}
