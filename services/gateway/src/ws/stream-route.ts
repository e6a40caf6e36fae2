import websocket from '@fastify/websocket';
import { ClusterError } from '@engram/model';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { askerOf } from '../http/limit-requests.ts';
import type { Sessions } from './sessions.ts';

/** For every route: what asks for a WebSocket where there is none is closed. */
export async function takeWebSockets(
  app: FastifyInstance,
  sessions: Sessions,
  messageBytesMax: number,
): Promise<void> {
  await app.register(websocket, {
    // Random floats do not compress, and a compressor for each session is memory.
    options: { maxPayload: messageBytesMax, perMessageDeflate: false, clientTracking: false },
    // The library has closed the connection with the code that fits: too large, not UTF-8, no frame.
    errorHandler: (error, socket, request) => {
      request.log.debug({ err: error }, 'a WebSocket failed');
      socket.close();
    },
    preClose: () => sessions.drain(),
  });
}

export function streamRoute(app: FastifyInstance, sessions: Sessions): void {
  app.route({
    method: 'GET',
    url: '/v1/stream',
    schema: {
      tags: ['observations'],
      summary: 'A session: batches with acknowledgements and credit over one WebSocket',
      description:
        'Upgrades to WebSocket. The messages, as JSON or MessagePack, are those of packages/session/STREAM.md.',
    },
    // The space is named by the first message, and the scopes for it are looked at then.
    config: { access: 'judged' },
    onRequest: (request, _reply, done) => {
      // A page may open a WebSocket to anywhere, and no browser asks whether it may.
      if (isForeign(request)) {
        const detail = 'pages of another origin may not open sessions here';
        return done(new ClusterError('FORBIDDEN', detail, { pointer: '#origin' }) as Error);
      }
      if (!request.ws || !sessions.isFull) return done();
      const detail = `this gateway has ${sessions.count} sessions, and takes no more`;
      const hint = 'ask another gateway, or raise ENGRAM_SESSIONS_MAX';
      // fastify's type of `done` knows only its own errors.
      done(new ClusterError('BACKPRESSURE', detail, { hint }) as Error);
    },
    handler: (_request, reply) => {
      void reply.header('upgrade', 'websocket');
      throw new ClusterError('UPGRADE_REQUIRED', 'this route speaks WebSocket', {
        hint: 'connect with a WebSocket client; writes also go over POST /v1/spaces/{space}/observations',
      });
    },
    wsHandler: (socket, request) =>
      sessions.accept(socket, {
        caller: askerOf(request, []).caller,
        principal: request.principal,
      }),
  });
}

function isForeign({ headers }: FastifyRequest): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}
