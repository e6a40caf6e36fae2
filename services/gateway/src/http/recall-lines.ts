// The streamed form of a recall: NDJSON, one result a line.

import { Readable } from 'node:stream';
import { CONTENT_TYPES } from '@engram/codec';
import type { SpaceId } from '@engram/model';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RecallStream } from '../recall/recall-stream.ts';
import { problemDocument } from './problem.ts';

/** Lines are sent together until they have so many characters: a socket takes that much at once. */
const CHUNK_LENGTH = 16 * 1024;

export function asksForStream({ headers }: FastifyRequest): boolean {
  return (headers.accept ?? '').toLowerCase().includes(CONTENT_TYPES.ndjson);
}

/**
 * Sends results as the client reads them; what the shards keep for them ends with the response.
 * @param space the one that was asked, which is then not told in every line
 */
export function sendStream(reply: FastifyReply, stream: RecallStream, space?: SpaceId): never {
  const body = Readable.from(chunks(lines(reply.request, stream, space)), {
    objectMode: false,
    highWaterMark: CHUNK_LENGTH,
  });
  body.once('close', () => stream.close());
  // The schema of the route is that of its other form.
  return reply.type(CONTENT_TYPES.ndjson).send(body) as never;
}

async function* lines(
  request: FastifyRequest,
  stream: RecallStream,
  space: SpaceId | undefined,
): AsyncGenerator<object, undefined> {
  try {
    const results = stream.results();
    for (;;) {
      const { value, done } = await results.next();
      if (done === true) {
        const { watermarks, ...end } = value;
        const watermark = space === undefined ? undefined : watermarks[space];
        const places = space === undefined ? { watermarks } : watermark && { watermark };
        yield { end: { ...end, ...places } };
        return undefined;
      }
      const { space: ofSpace, ...result } = value;
      yield space === undefined ? { space: ofSpace, ...result } : result;
    }
  } catch (error) {
    // The status is sent already.
    yield { error: problemDocument(error, request) };
    return undefined;
  }
}

async function* chunks(objects: AsyncIterable<object>): AsyncGenerator<string, undefined> {
  let text = '';
  for await (const object of objects) {
    text += `${JSON.stringify(object)}\n`;
    if (text.length < CHUNK_LENGTH) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
  return undefined;
}
