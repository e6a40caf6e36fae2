// Writes and reads like any client, and writes down what it was told.
//
//   R1. Every write that may have left this process is in the history, whatever became of it.
//   R2. An outcome is what the answers say and no more: one doubtful try makes the whole doubtful,
//       unless a later one is acknowledged.

import { headers, type JetStreamClient, type PubAck } from 'nats';
import type { Lane, Outcome, Seen, WriteEvent } from '../history/event.ts';
import type { HistoryRecorder } from '../history/recorder.ts';
import { boundOf } from '../history/write-index.ts';
import { base64Of, embeddingOf, isEmbeddingOf } from './embedding.ts';
import { ask, isRefusal, type HttpAnswer } from './http.ts';

export interface LoadSpace {
  readonly name: string;
  readonly dimension: number;
  readonly metric: 'cosine' | 'l2' | 'ip';
  /** As many different ids are written. */
  readonly ids: number;
}

export interface RecordingClientOptions {
  readonly recorder: HistoryRecorder;
  /** Of the gateway to ask next. */
  readonly url: () => string;
  readonly js: JetStreamClient;
  /** Told how each request went. */
  readonly onAnswer?: (operation: 'write' | 'read', tookMs: number, isAnswered: boolean) => void;
}

/** A write that was acknowledged. */
export interface Acknowledged {
  readonly id: string;
  readonly position: string;
}

export type ReadWhat =
  { readonly what: 'get' | 'by-id'; readonly id: string } | { readonly what: 'all' | 'nearest' };

export interface ReadWhen {
  readonly minPosition?: string;
  readonly asOf?: string;
}

const WRITE_TIMEOUT_MS = 15_000;
const READ_TIMEOUT_MS = 12_000;
/** Under the same Idempotency-Key, and well within the log's window for duplicates. */
const TRIES = 3;
/** Nothing is there more often than a recall may bring. */
const ALL = 1_000;

export class RecordingClient {
  readonly #options: RecordingClientOptions;
  #version = 0;
  #request = 0;
  /** Of each space, learnt from its first position. */
  readonly #partitions = new Map<string, string>();

  constructor(options: RecordingClientOptions) {
    this.#options = options;
  }

  async createSpace({ name, dimension, metric }: LoadSpace): Promise<boolean> {
    const answer = await ask(this.#options.url(), {
      method: 'PUT',
      path: `/v1/spaces/${name}`,
      body: { dimension, metric },
      timeoutMs: WRITE_TIMEOUT_MS,
    });
    return answer?.status === 200 || answer?.status === 201;
  }

  /** One request, one entry of the log. Bad ones have a component too many. */
  async put(
    space: LoadSpace,
    items: readonly { readonly id: string; readonly isBad?: boolean }[],
    lane: Lane,
    ack: 'logged' | 'searchable' = 'logged',
  ): Promise<(Acknowledged & { readonly ack: string }) | undefined> {
    const { recorder } = this.#options;
    const begun = recorder.begin();
    const request = ++this.#request;
    const versions = items.map(() => ++this.#version);
    const observations = items.map(({ id, isBad }, i) => {
      const version = versions[i]!;
      const embedding = embeddingOf(version, space.dimension + (isBad === true ? 1 : 0));
      // Both ways to send numbers.
      const sent = version % 2 === 0 ? base64Of(embedding) : [...embedding];
      return { id, embedding: sent, lane, metadata: { key: id, version } };
    });
    const question = {
      method: 'POST' as const,
      path: `/v1/spaces/${space.name}/observations?ack=${ack}`,
      body: { observations },
      headers: { 'idempotency-key': `load-${process.pid}-${request}` },
      timeoutMs: WRITE_TIMEOUT_MS,
    };
    let answer: HttpAnswer | undefined;
    let isDoubtful = false;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      answer = await this.#ask('write', question);
      if (answer?.status === 0) continue;
      if (answer !== undefined && (answer.status < 300 || isRefusal(answer))) break;
      isDoubtful = true;
    }
    const position = positionOf(answer);
    const refused = refusedItems(answer);
    const outcomeOf = (index: number): Outcome => {
      if (position !== undefined) return refused.has(index) ? 'rejected' : 'ok';
      return isDoubtful ? 'unknown' : 'rejected'; // R2
    };
    for (const [i, { id }] of items.entries()) {
      const outcome = outcomeOf(i);
      const version = versions[i]!;
      const place = { kind: 'put', space: space.name, id, lane, version, request } as const;
      recorder.write(begun, withSequence({ ...place, outcome }, position));
    }
    const first = items.findIndex((_, i) => outcomeOf(i) === 'ok');
    if (position === undefined || first < 0) return undefined;
    this.#partitions.set(space.name, position.split('-')[0]!);
    return { id: items[first]!.id, position, ack: String(answer?.body['ack']) };
  }

  async delete(space: LoadSpace, id: string): Promise<Acknowledged | undefined> {
    const { recorder } = this.#options;
    const begun = recorder.begin();
    const answer = await this.#ask('write', {
      method: 'DELETE',
      path: `/v1/spaces/${space.name}/observations/${encodeURIComponent(id)}`,
      timeoutMs: WRITE_TIMEOUT_MS,
    });
    const position = positionOf(answer);
    const isRefused = answer !== undefined && isRefusal(answer);
    const outcome = position !== undefined ? 'ok' : isRefused ? 'rejected' : 'unknown';
    const write = { kind: 'delete', space: space.name, id, lane: 'high', version: 0 } as const;
    recorder.write(begun, withSequence({ ...write, request: ++this.#request, outcome }, position));
    return position === undefined ? undefined : { id, position };
  }

  /**
   * Past the gateways, by any NATS client's means.
   * @param again `same-id`: the message is sent twice under one id and stored once; `other-id`: under
   *   two, and stored twice, as a repetition after the log's window for duplicates is
   */
  async publish(
    space: LoadSpace,
    id: string,
    lane: Lane,
    again?: 'same-id' | 'other-id',
  ): Promise<Acknowledged | undefined> {
    const version = ++this.#version;
    const embedding = [...embeddingOf(version, space.dimension)];
    const body = JSON.stringify({ id, embedding, metadata: { key: id, version } });
    const subject = `observe.${lane}.${space.name}`;
    const place = { kind: 'put', space: space.name, id, lane, version } as const;
    const { recorder } = this.#options;
    let begun = recorder.begin();
    let request = ++this.#request;
    let ack = await this.#publish(subject, body, `load-${process.pid}-${request}`);
    if (again === 'same-id')
      ack = (await this.#publish(subject, body, `load-${process.pid}-${request}`)) ?? ack;
    recorder.write(begun, withAck({ ...place, request }, ack));
    if (again === 'other-id') {
      begun = recorder.begin();
      request = ++this.#request;
      ack = await this.#publish(subject, body, `load-${process.pid}-${request}`);
      recorder.write(begun, withAck({ ...place, request }, ack));
    }
    const partition = this.#partitions.get(space.name);
    if (ack === undefined || partition === undefined) return undefined;
    const sequences = { high: 0, normal: 0, low: 0, [lane]: ack.seq };
    return { id, position: `${partition}-${sequences.high}.${sequences.normal}.${sequences.low}` };
  }

  /** What no index can take. */
  async poison(subject: string, payload: string | Uint8Array): Promise<void> {
    const { recorder } = this.#options;
    const begun = recorder.begin();
    const request = ++this.#request;
    const ack = await this.#publish(subject, payload, `load-${process.pid}-${request}`);
    recorder.poison(begun, {
      kind: 'poison',
      request,
      ...(ack === undefined
        ? { outcome: 'unknown' as const }
        : { outcome: 'ok' as const, sequence: ack.seq }),
    });
  }

  /** @returns the answer's watermark */
  async read(space: LoadSpace, what: ReadWhat, when: ReadWhen = {}): Promise<string | undefined> {
    const { recorder } = this.#options;
    const begun = recorder.begin();
    const answer =
      what.what === 'get'
        ? await this.#get(space, what.id, when.minPosition)
        : await this.#recall(space, what, when);
    if (answer === undefined) return undefined;
    const { body, status } = answer;
    const isAbsent = status === 404 && body['code'] === 'OBSERVATION_NOT_FOUND';
    if (status !== 200 && !isAbsent) return undefined;
    const watermark = body['watermark'] as string | undefined;
    // A recall that no shard answered is a 200 without a watermark: it claims nothing.
    if (what.what !== 'get' && watermark === undefined) return undefined;
    const hits = isAbsent ? [] : what.what === 'get' ? [body] : (body['results'] as object[]);
    const isCut = what.what === 'all' && hits.length === ALL;
    recorder.read(begun, {
      kind: 'read',
      space: space.name,
      covers:
        what.what === 'get' || what.what === 'by-id'
          ? [what.id]
          : what.what === 'all' && !isCut
            ? 'space'
            : [],
      seen: hits.map((hit) => seenOf(hit, space.dimension)),
      ...when,
      ...(watermark === undefined ? {} : { watermark }),
    });
    return watermark;
  }

  #get(space: LoadSpace, id: string, minPosition: string | undefined) {
    const query = minPosition === undefined ? '' : `?minPosition=${minPosition}&waitMs=2000`;
    return this.#ask('read', {
      method: 'GET',
      path: `/v1/spaces/${space.name}/observations/${encodeURIComponent(id)}${query}`,
      timeoutMs: READ_TIMEOUT_MS,
    });
  }

  #recall(space: LoadSpace, what: ReadWhat, { minPosition, asOf }: ReadWhen) {
    const waits = minPosition !== undefined || asOf !== undefined;
    return this.#ask('read', {
      method: 'POST',
      path: `/v1/spaces/${space.name}/recall`,
      body: {
        embedding: [...embeddingOf(1 + (this.#version % 1_000), space.dimension)],
        k: what.what === 'all' ? ALL : 10,
        include: ['metadata', 'embedding'],
        ...(what.what === 'by-id' ? { filter: { key: what.id } } : {}),
        ...(what.what === 'all' ? { ef: ALL } : {}),
        ...(minPosition === undefined ? {} : { minPosition }),
        ...(asOf === undefined ? {} : { asOf }),
        ...(waits ? { waitMs: 2_000 } : {}),
      },
      timeoutMs: READ_TIMEOUT_MS,
    });
  }

  async #ask(operation: 'write' | 'read', question: Parameters<typeof ask>[1]) {
    const startedAt = performance.now();
    const answer = await ask(this.#options.url(), question);
    const isAnswered = answer !== undefined && answer.status > 0 && answer.status < 500;
    this.#options.onAnswer?.(operation, performance.now() - startedAt, isAnswered);
    return answer;
  }

  async #publish(
    subject: string,
    payload: string | Uint8Array,
    msgID: string,
  ): Promise<PubAck | undefined> {
    const head = headers();
    head.set('Content-Type', 'application/json');
    try {
      return await this.#options.js.publish(subject, payload, {
        msgID,
        headers: head,
        timeout: 5_000,
      });
    } catch {
      return undefined; // stored or not: nobody knows
    }
  }
}

export function seenOf(hit: object, dimension: number): Seen {
  const { id, metadata, embedding } = hit as {
    readonly id: string;
    readonly metadata?: { readonly key?: unknown; readonly version?: unknown };
    readonly embedding?: unknown;
  };
  const version = Number(metadata?.version);
  const isIntact = metadata?.key === id && isEmbeddingOf(embedding, version, dimension);
  return { id, version, isIntact };
}

function positionOf(answer: HttpAnswer | undefined): string | undefined {
  const position = answer !== undefined && answer.status < 300 && answer.body['position'];
  return typeof position === 'string' ? position : undefined;
}

function refusedItems(answer: HttpAnswer | undefined): ReadonlySet<number> {
  const errors = answer?.body['errors'];
  if (!Array.isArray(errors)) return new Set();
  return new Set(errors.map((error) => Number((error as { index?: unknown }).index)));
}

type Unended = Omit<WriteEvent, 'begun' | 'ended' | 'sequence'>;

function withSequence(write: Unended, position: string | undefined) {
  if (position === undefined || write.outcome !== 'ok') return write;
  return { ...write, sequence: boundOf(position)[write.lane] };
}

function withAck(write: Omit<Unended, 'outcome'>, ack: PubAck | undefined) {
  return ack === undefined
    ? { ...write, outcome: 'unknown' as const }
    : { ...write, outcome: 'ok' as const, sequence: ack.seq };
}
