// The API of a cluster in typed calls. How a request travels is the transport's, when it is
// repeated is the retries'; this file only knows paths, bodies and answers.

import { ClusterError, type Observation } from '@engram/model';
import { answered, lineOf, SHAPES, type Shape } from './answers.ts';
import { encodeBody } from './body.ts';
import { decodeEmbedding, encodeEmbedding } from './embedding.ts';
import { DeadLetterCalls } from './dead-letters.ts';
import { ConnectionError, judged } from './errors.ts';
import { HttpTransport, type ApiKeySource } from './http-transport.ts';
import { Producer } from './producer/producer.ts';
import type { ProducerOptions } from './producer/options.ts';
import { listOf } from './observations.ts';
import { errorOf, errorOfProblem, isOk, itemErrorsOf, problemOf } from './problem.ts';
import { withRetries } from './retry.ts';
import type { SessionOptions } from './session/options.ts';
import { WriteSession } from './session/write-session.ts';
import { SpaceClient } from './space-client.ts';
import { tailSpace, type TailEvent, type TailOptions } from './tail.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';
import { gatewayUrls } from './urls.ts';
import type {
  CallOptions,
  ClusterStatus,
  CreatedSpace,
  CreateSpaceOptions,
  DeleteOptions,
  DeleteResult,
  Problem,
  PutOptions,
  PutResult,
  RecallEnd,
  RecallHit,
  RecallQuery,
  RecallResult,
  RingStatus,
  SpaceStatus,
  SpaceSummary,
  StoredObservation,
  VerifyOptions,
  VerifyResult,
} from './types.ts';

/** Longer than the cluster waits for an acknowledgement level when it is not told otherwise. */
const TIMEOUT_MS = 30_000;
const RETRIES = 4;
/** A verification reads all that was ever written to a space; `fetch` waits no longer for an answer. */
const VERIFY_TIMEOUT_MS = 300_000;

export interface ClientOptions {
  /** One gateway, or several: the next one is asked when one cannot be reached. */
  readonly url: string | readonly string[];
  /** For one try of one gateway; default 30 000. */
  readonly timeoutMs?: number;
  /** An API key or a token, or what gives one for each call: tokens end. Sent to these URLs only. */
  readonly apiKey?: ApiKeySource | undefined;
  /** Tries after the first one; default 4. */
  readonly retries?: number;
  /** Instead of HTTP. */
  readonly transport?: Transport;
}

/**
 * A client holds no resources of its own, so there is nothing to close but its sessions. Every call may throw
 * ClusterError (the cluster refused), ConnectionError (nobody answered) or its signal's reason.
 */
export class EngramClient {
  readonly deadLetters = new DeadLetterCalls((...asked) => this.#ask(...asked));
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  readonly #retries: number;
  readonly #urls: readonly string[];
  readonly #apiKey: ApiKeySource | undefined;

  /** @throws TypeError for a url that is missing or none, which says what to give */
  constructor(options: ClientOptions) {
    const { url, apiKey, timeoutMs = TIMEOUT_MS, retries = RETRIES } = options;
    // Another transport has urls of its own kind.
    const given = typeof url === 'string' ? [url] : url;
    const urls = options.transport === undefined ? gatewayUrls(url) : given;
    this.#urls = urls;
    this.#apiKey = apiKey;
    this.#transport = options.transport ?? new HttpTransport(urls, apiKey);
    this.#timeoutMs = timeoutMs;
    this.#retries = retries;
  }

  /** Makes a space, or finds the same one there. @throws ClusterError SPACE_DIFFERS */
  async createSpace(
    space: string,
    options: CreateSpaceOptions,
    { signal }: CallOptions = {},
  ): Promise<CreatedSpace> {
    const body = JSON.stringify(options);
    const request: TransportRequest = { method: 'PUT', path: pathOf(space), body };
    const response = await this.#call(request, signal);
    const summary = answered<SpaceSummary>(response.body, SHAPES.space, asked(request));
    return { ...summary, created: response.status === 201 };
  }

  async space(space: string, { signal }: CallOptions = {}): Promise<SpaceStatus> {
    return this.#ask(SHAPES.space, { method: 'GET', path: pathOf(space) }, signal);
  }

  /** Every space, one page of the list in memory at a time. */
  async *spaces({
    pageSize,
    signal,
  }: CallOptions & { readonly pageSize?: number } = {}): AsyncGenerator<SpaceSummary, void> {
    let cursor: string | undefined;
    do {
      const query = { limit: pageSize, cursor };
      const page = await this.#ask<{ spaces: SpaceSummary[]; nextCursor?: string | null }>(
        SHAPES.spaces,
        { method: 'GET', path: '/v1/spaces', query },
        signal,
      );
      yield* page.spaces;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  async deleteSpace(space: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#call({ method: 'DELETE', path: pathOf(space) }, signal);
  }

  /**
   * Writes observations; a repetition of a lost request is stored once. The embeddings may be
   * used again as soon as the call was made.
   * @throws PartialFailure when some are refused, unless `onPartial` is `return`
   * @throws ClusterError NOTHING_ACCEPTED when all are, with the PartialFailure as its cause
   * @throws TypeError for what is no list, or cannot be JSON
   */
  async put(
    space: string,
    given: readonly Observation[],
    options: PutOptions = {},
  ): Promise<PutResult> {
    const observations = listOf(given);
    const { ack, atomic, ackTimeoutMs, idempotencyKey, signal, retries } = options;
    const {
      content,
      contentType,
      lane = options.lane,
    } = encodeBody(observations, options.encoding);
    const request: TransportRequest = {
      method: 'POST',
      path: `${pathOf(space)}/observations`,
      query: { ack, atomic, lane, timeoutMs: ackTimeoutMs },
      body: content,
      contentType,
      requestId: options.requestId ?? crypto.randomUUID(),
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    };
    const response = await this.#exchange(request, signal, ackTimeoutMs, retries);
    if (isOk(response.status)) answered(response.body, SHAPES.put, asked(request));
    const result = putResultOf(response, observations.length);
    if (result === undefined) throw errorOf(response, asked(request));
    return judged(result, options.onPartial);
  }

  /** One space with the type of its metadata, as `client.use<Note>('notes')`; nobody is asked. */
  use<M extends object>(space: string): SpaceClient<M> {
    return new SpaceClient<M>(this, space);
  }

  /** Writes a stream of observations in batches, as fast as the cluster takes them. To be closed. */
  producer(space: string, options: ProducerOptions = {}): Producer {
    const { ack, lane } = options;
    const common = {
      ...(ack === undefined ? {} : { ack }),
      ...(lane === undefined ? {} : { lane }),
      onPartial: 'return',
      retries: 0,
    } as const;
    return new Producer(
      (observations, each) => this.put(space, observations, { ...common, ...each }),
      options,
    );
  }

  /**
   * A session over WebSocket, for who writes all the time: in order, at the pace of the cluster, and over
   * lost connections. It holds a socket and has to be closed.
   */
  session(options: SessionOptions): WriteSession {
    return new WriteSession(this.#urls, this.#apiKey, options);
  }

  /** @throws ClusterError OBSERVATION_NOT_FOUND */
  async get(space: string, id: string, { signal }: CallOptions = {}): Promise<StoredObservation> {
    const request: TransportRequest = { method: 'GET', ...placeOf(space, id) };
    const stored = await this.#ask<StoredObservation>(SHAPES.observation, request, signal);
    return { ...stored, embedding: decodeEmbedding(stored.embedding) ?? new Float32Array(0) };
  }

  /** Accepted also when there is no such observation: the log is not asked. */
  async delete(space: string, id: string, options: DeleteOptions = {}): Promise<DeleteResult> {
    const { ack, ackTimeoutMs, signal } = options;
    const { path, query } = placeOf(space, id);
    const request: TransportRequest = {
      method: 'DELETE',
      path,
      query: { ...query, ack, timeoutMs: ackTimeoutMs },
      requestId: crypto.randomUUID(),
    };
    return this.#ask(SHAPES.deleted, request, signal, ackTimeoutMs);
  }

  /** The nearest observations of one space, best first. */
  async recall(
    space: string,
    query: RecallQuery,
    { signal }: CallOptions = {},
  ): Promise<RecallResult> {
    return this.#recall(`${pathOf(space)}/recall`, query, signal);
  }

  /** The nearest observations of several spaces, merged; every hit names its space. */
  async recallSpaces(
    spaces: readonly string[],
    query: RecallQuery,
    { signal }: CallOptions = {},
  ): Promise<RecallResult> {
    return this.#recall('/v1/recall', { ...query, spaces }, signal);
  }

  /**
   * The same results one by one, best first, read as the caller takes them: so `k` may be 10,000. The
   * generator returns what was known at the end; `return` (or leaving a `for await`) ends the request.
   * @throws ClusterError also in the middle: CURSOR_EXPIRED when nothing was read for half a minute
   * @throws ConnectionError also in the middle; a stream never just stops
   */
  recallStream(
    space: string,
    query: RecallQuery,
    options: CallOptions = {},
  ): AsyncGenerator<RecallHit, RecallEnd, void> {
    return this.#recallStream(`${pathOf(space)}/recall`, query, options);
  }

  /** The same of several spaces, merged; every hit names its space. */
  recallSpacesStream(
    spaces: readonly string[],
    query: RecallQuery,
    options: CallOptions = {},
  ): AsyncGenerator<RecallHit, RecallEnd, void> {
    return this.#recallStream('/v1/recall', { ...query, spaces }, options);
  }

  async cluster({ signal }: CallOptions = {}): Promise<ClusterStatus> {
    return this.#ask(SHAPES.cluster, { method: 'GET', path: '/v1/cluster' }, signal);
  }

  /**
   * Compares the log with the index of a space. It reads all entries of the space, so it may take long.
   * @throws ClusterError BACKPRESSURE when the gateway verifies another space, POSITION_NOT_REACHED
   */
  async verify(
    space: string,
    { shard, waitMs, signal }: VerifyOptions = {},
  ): Promise<VerifyResult> {
    const path = `${pathOf(space)}/verify`;
    const request: TransportRequest = { method: 'GET', path, query: { shard, waitMs } };
    return this.#ask(SHAPES.verify, request, signal, VERIFY_TIMEOUT_MS);
  }

  /** Who owns which partition, and what moves. */
  async ring({ signal }: CallOptions = {}): Promise<RingStatus> {
    return this.#ask(SHAPES.ring, { method: 'GET', path: '/v1/ring' }, signal);
  }

  /**
   * Follows what is written into a space, in the order of the log, until the caller leaves the loop. A
   * broken connection is made anew behind the last event; what was told twice then has the same sequence.
   * @throws ClusterError POSITION_EXPIRED, SPACE_NOT_FOUND also in the middle, when the space is deleted
   */
  tail(space: string, options: TailOptions = {}): AsyncGenerator<TailEvent, void, void> {
    return tailSpace(pathOf(space), options, (request, signal) => this.#open(request, signal));
  }

  async #recall(
    path: string,
    query: RecallQuery & { readonly spaces?: readonly string[] },
    signal: AbortSignal | undefined,
  ): Promise<RecallResult> {
    const request = recallRequest(path, query);
    const result = await this.#ask<RecallResult>(SHAPES.recall, request, signal, query.waitMs);
    return { ...result, results: result.results.map(withFloats) };
  }

  async *#recallStream(
    path: string,
    query: RecallQuery & { readonly spaces?: readonly string[] },
    { signal }: CallOptions,
  ): AsyncGenerator<RecallHit, RecallEnd, void> {
    const request = recallRequest(path, query);
    for await (const text of await this.#open(request, signal, query.waitMs)) {
      const line = lineOf<RecallLine>(text, asked(request));
      if ('error' in line) throw errorOfProblem(line.error, asked(request));
      if ('end' in line) return answered(line.end, SHAPES.end, asked(request));
      yield withFloats(answered(line, SHAPES.hit, asked(request)));
    }
    throw new ConnectionError('unreachable', [], new Error('the stream has no end'));
  }

  /** The lines of an answer that comes in lines. */
  async #open(
    request: TransportRequest,
    signal: AbortSignal | undefined,
    serverWaitMs = 0,
  ): Promise<AsyncGenerator<string, void>> {
    const limits = { timeoutMs: this.#timeoutMs + serverWaitMs, signal };
    const response = await withRetries(() => this.#transport.stream(request, limits), {
      retries: this.#retries,
      signal,
    });
    if (response.lines === undefined) throw errorOf(response, asked(request));
    return response.lines;
  }

  /** @param shape of the answer */
  async #ask<T>(
    shape: Shape,
    request: TransportRequest,
    signal: AbortSignal | undefined,
    serverWaitMs?: number,
  ): Promise<T> {
    const { body } = await this.#call(request, signal, serverWaitMs);
    return answered<T>(body, shape, asked(request));
  }

  async #call(
    request: TransportRequest,
    signal: AbortSignal | undefined,
    serverWaitMs?: number,
  ): Promise<TransportResponse> {
    const response = await this.#exchange(request, signal, serverWaitMs);
    if (!isOk(response.status)) throw errorOf(response, asked(request));
    return response;
  }

  async #exchange(
    request: TransportRequest,
    signal: AbortSignal | undefined,
    serverWaitMs = 0,
    retries = this.#retries,
  ): Promise<TransportResponse> {
    // The cluster may use up its own deadline; this one is for a cluster that says nothing.
    const limits = { timeoutMs: this.#timeoutMs + serverWaitMs, signal };
    return withRetries(() => this.#transport.exchange(request, limits), { retries, signal });
  }
}

type RecallLine = RecallHit | { readonly end: RecallEnd } | { readonly error: Problem };

/** @throws ClusterError INVALID_SPACE_NAME for the two names that a URL parser resolves away */
function pathOf(space: string): string {
  if (space === '.' || space === '..')
    throw new ClusterError('INVALID_SPACE_NAME', 'no space can have this name', {
      pointer: '#space',
    });
  return `/v1/spaces/${encodeURIComponent(space)}`;
}

/** Where an observation is; its id may be anything, so `.` and `..` go into the query. */
function placeOf(space: string, id: string): Pick<TransportRequest, 'path' | 'query'> {
  const path = `${pathOf(space)}/observations`;
  return id === '.' || id === '..'
    ? { path, query: { id } }
    : { path: `${path}/${encodeURIComponent(id)}` };
}

function asked({ method, path }: TransportRequest): string {
  return `${method} ${path}`;
}

/** The outcome of a batch, also when all of it was refused; undefined when it was not judged. */
function putResultOf(response: TransportResponse, sent: number): PutResult | undefined {
  const { status, body } = response;
  const errors = itemErrorsOf(body);
  const told = problemOf(body) as Partial<PutResult>;
  const errorsTruncated = told.errorsTruncated === true;
  if (isOk(status))
    return { ...(body as PutResult), errors, errorsTruncated, rejected: told.rejected ?? 0 };
  if (status === 422 && errors.length > 0)
    return { accepted: 0, rejected: told.rejected ?? sent, errors, errorsTruncated };
  return undefined;
}

function recallRequest(path: string, query: RecallQuery): TransportRequest {
  const embedding = encodeEmbedding(query.embedding, 'base64');
  return { method: 'POST', path, body: JSON.stringify({ ...query, embedding }) };
}

function withFloats(hit: RecallHit): RecallHit {
  const embedding = decodeEmbedding(hit.embedding);
  return embedding === undefined ? hit : { ...hit, embedding };
}
