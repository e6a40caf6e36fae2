import { Readable } from 'node:stream';
import { CONTENT_TYPES } from '@engram/codec';
import { ClusterError, parsePosition } from '@engram/model';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Tail, TailPart } from '../../tail/tailer.ts';
import { LAPSED, unauthenticated } from '../../auth/refusal.ts';
import { findSpace } from '../find-space.ts';
import { TailedLines, TailQuery } from '../operator-schemas.ts';
import { problemDocument } from '../problem.ts';
import { answers, SpaceParams } from '../schemas.ts';
import type { Gateway, GatewayApp } from '../server.ts';
import { whileWanted } from '../while-wanted.ts';

/** Lines are sent together until they have so many characters: a socket takes that much at once. */
const CHUNK_LENGTH = 16 * 1024;
/** A reader that takes nothing for so long is given up, so that its place is free for another. */
const STALLED_MS = 120_000;

export function tailRoutes(app: GatewayApp, { directory, tailer, stop }: Gateway): void {
  app.get('/v1/spaces/:space/tail', {
    config: { access: 'read' },
    schema: {
      tags: ['spaces'],
      summary: 'Follow what is written into a space',
      description:
        'An answer without an end, one observation as JSON in each line, read as the client takes them; empty lines say that nothing came. It ends when the client goes away.',
      params: SpaceParams,
      querystring: TailQuery,
      response: answers({ 200: TailedLines }),
    },
    handler: async (request, reply) => {
      const config = await findSpace(directory, request.principal, request.params.space);
      const { position, since, embeddings } = request.query;
      if (position !== undefined && since !== undefined)
        throw new ClusterError('INVALID_PARAMETER', 'position and since exclude each other', {
          pointer: '#since',
        });
      const { signal, release } = whileWanted(reply, stop);
      try {
        const tail = await tailer.follow(config, {
          ...(position === undefined ? {} : { after: parsePosition(position, '#position') }),
          ...(since === undefined ? {} : { sinceMs: timeOf(since) }),
          withEmbeddings: embeddings,
          signal,
        });
        return sendTail(request, reply, tail, release);
      } catch (error) {
        release();
        throw error;
      }
    },
  });
}

/** @throws ClusterError INVALID_PARAMETER */
function timeOf(since: string): number {
  const ms = Date.parse(since);
  if (Number.isFinite(ms)) return ms;
  throw new ClusterError('INVALID_PARAMETER', 'since must be a time as 2026-01-31T09:00:00Z', {
    pointer: '#since',
  });
}

function sendTail(
  request: FastifyRequest,
  reply: FastifyReply,
  tail: Tail,
  release: () => void,
): FastifyReply {
  const body = Readable.from(chunks(request, tail.parts), {
    objectMode: false,
    highWaterMark: CHUNK_LENGTH,
  });
  const { socket } = request.raw;
  const onStalled = () => socket.destroy();
  socket.setTimeout(STALLED_MS, onStalled);
  body.once('close', () => {
    release();
    socket.setTimeout(0, onStalled);
    tail.close();
  });
  // It ends with the gateway, which would wait for a connection that is kept.
  return reply.type(CONTENT_TYPES.ndjson).header('connection', 'close').send(body);
}

async function* chunks(
  request: FastifyRequest,
  parts: AsyncIterable<TailPart>,
): AsyncGenerator<string, void> {
  try {
    for await (const part of parts) {
      if (!request.principal.isValid()) throw unauthenticated('unknown', LAPSED);
      let text = '';
      for (const line of part) {
        text += `${JSON.stringify(line)}\n`;
        if (text.length < CHUNK_LENGTH) continue;
        yield text;
        text = '';
      }
      // An empty part is an empty line.
      yield text === '' ? '\n' : text;
    }
  } catch (error) {
    // The status is sent already; the reader that went away hears nothing.
    yield `${JSON.stringify({ error: problemDocument(error, request) })}\n`;
  }
}
