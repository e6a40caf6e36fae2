// What is decided of a request before its body is read: who asks for too much is not worth reading.

import { DEFAULT_LANE, isToken, LANES, type Lane, type SpaceId } from '@engram/model';
import type { FastifyRequest } from 'fastify';
import type { Asker } from '../admission/limits.ts';
import type { Underway } from '../admission/own-load.ts';
import { ANYBODY } from '../auth/principal.ts';
import type { GatewayApp, Gateway } from './server.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a write: its body, which counts for as long as the request is under way. */
    underway?: Underway;
  }
}

/** Counts requests for their space and caller, and refuses those beyond a limit. Deletes are always taken. */
export function limitRequests(app: GatewayApp, gateway: Gateway): void {
  const { limits, load, slots, ingest, config } = gateway;
  app.decorateRequest('underway');
  app.addHook('onRequest', (request, reply, done) => {
    const { space } = request.params as { readonly space?: string };
    if (space === undefined || !isToken(space) || request.method === 'DELETE') {
      done();
      return;
    }
    try {
      const isWrite = request.routeOptions.url === WRITES && request.method === 'POST';
      const leave = limits.enter(askerOf(request, [space]), isWrite ? 'write' : 'read');
      // Also of a request whose client goes away in the middle.
      reply.raw.once('close', leave);
      if (isWrite) {
        ingest.admit(space as SpaceId);
        reply.raw.once('close', slots.enter(space, laneOf(request)));
        const underway = load.enter(bodyBytes(request, config.ENGRAM_BODY_BYTES_MAX));
        request.underway = underway;
        reply.raw.once('close', () => underway.leave());
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

export const WRITES = '/v1/spaces/:space/observations';

/** Callers are told apart where they must say who they are. */
export function askerOf({ principal }: FastifyRequest, spaces: readonly string[]): Asker {
  return { spaces, caller: principal === ANYBODY ? undefined : principal.id };
}

/** Of the write as a whole: items may name others. What is no lane is refused by the schema. */
function laneOf({ query }: FastifyRequest): Lane {
  const { lane } = query as { readonly lane?: unknown };
  return LANES.find((each) => each === lane) ?? DEFAULT_LANE;
}

/** What a body may come to: of one that does not say how long it is, or is packed, all that one may be. */
function bodyBytes({ headers }: FastifyRequest, bytesMax: number): number {
  const length = Number(headers['content-length']);
  const isPlain = (headers['content-encoding'] ?? 'identity') === 'identity';
  return isPlain && length >= 0 ? Math.min(length, bytesMax) : bytesMax;
}
