// What is written into a space, as events, for as long as somebody looks on.

import type { Lane, Metadata } from '@engram/model';
import { answered, lineOf, SHAPES } from './answers.ts';
import { decodeEmbedding } from './embedding.ts';
import { ConnectionError } from './errors.ts';
import { errorOfProblem } from './problem.ts';
import { isPassingFault, jitterMs } from './retry.ts';
import type { TransportRequest } from './transport.ts';
import type { CallOptions, Problem } from './types.ts';
import { pause } from './waiting.ts';

export interface TailOptions extends CallOptions {
  /** Everything behind the position of an event or a write; without it and `since`, from now on. */
  readonly position?: string;
  /** Everything stored since then, as far as the log still has it. */
  readonly since?: Date;
  /** Whether events have the embedding. */
  readonly embeddings?: boolean;
}

/** The start says from where; the others what was written, in the order of the log. */
export type TailEvent =
  | { readonly op: 'start'; readonly position: string }
  | ({
      /** Goes on behind this event, or from the entry that it is a part of. */
      readonly position: string;
      /** Of its entry in the log. */
      readonly sequence: number;
      readonly lane: Lane;
      /** When the log stored it, ISO 8601. */
      readonly time: string;
    } & (
      | {
          readonly op: 'put';
          readonly id: string;
          readonly metadata?: Metadata;
          readonly timestamp?: number;
          readonly embedding?: Float32Array;
        }
      | { readonly op: 'delete'; readonly id: string }
      | { readonly op: 'rejected'; readonly count: number }
    ));

type Line =
  | { readonly start: { readonly position: string } }
  | { readonly error: Problem }
  | Exclude<TailEvent, { readonly op: 'start' }>;

type Open = (
  request: TransportRequest,
  signal: AbortSignal | undefined,
) => Promise<AsyncGenerator<string, void>>;

export async function* tailSpace(
  spacePath: string,
  { position: given, since, embeddings, signal }: TailOptions,
  open: Open,
): AsyncGenerator<TailEvent, void, void> {
  const path = `${spacePath}/tail`;
  const asked = `GET ${path}`;
  let position = given;
  let hasStarted = false;
  for (;;) {
    const from = position === undefined ? since?.toISOString() : undefined;
    const query = { position, since: from, embeddings };
    const lines = await open({ method: 'GET', path, query }, signal);
    try {
      for await (const text of lines) {
        if (text === '') continue; // nothing came for a while
        const line = lineOf<Line>(text, asked);
        if ('error' in line) throw errorOfProblem(line.error, asked);
        const event =
          'start' in line
            ? startOf(answered(line.start, SHAPES.start, asked))
            : withFloats(answered(line, SHAPES.event, asked));
        position = event.position;
        if (event.op !== 'start' || !hasStarted) yield event;
        hasStarted = true;
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
    // A gateway that goes away, or a line that broke: the next one goes on from there.
    await pause(jitterMs(0, Math.random), signal);
  }
}

function startOf({ position }: { readonly position: string }): TailEvent {
  return { op: 'start', position };
}

function withFloats(event: Exclude<TailEvent, { readonly op: 'start' }>): TailEvent {
  if (event.op !== 'put') return event;
  const embedding = decodeEmbedding(event.embedding);
  return embedding === undefined ? event : { ...event, embedding };
}

function isPassing(error: unknown): boolean {
  if (error instanceof ConnectionError) return isPassingFault(error);
  return error instanceof Error && 'code' in error && error.code === 'SHUTTING_DOWN';
}
