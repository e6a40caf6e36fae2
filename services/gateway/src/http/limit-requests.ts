// What is decided of a request before its body is read: who asks for too much is not worth reading.

import { pipeline, Transform } from 'node:stream';
import { DEFAULT_LANE, isToken, LANES, type Lane, type SpaceId } from '@engram/model';
import type { FastifyRequest } from 'fastify';
import type { Asker } from '../admission/limits.ts';
import type { Underway } from '../admission/own-load.ts';
import { ANYBODY } from '../auth/principal.ts';
import type { GatewayApp, Gateway } from './server.ts';
import { whenOver } from './when-over.ts';

const ANNOUNCED_MAX = 1024 * 1024;

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a write: its body, which counts for as long as the request is under way. */
    underway?: Underway;
  }
}

/** Counts requests for their space and caller, and refuses those beyond a limit. Deletes are always taken. */
export function limitRequests(app: GatewayApp, gateway: Gateway): void {
  const { limits, load, slots, ingest } = gateway;
  app.decorateRequest('underway');
  app.addHook('onRequest', (request, reply, done) => {
    const { space } = request.params as { readonly space?: string };
    if (space === undefined || !isToken(space) || request.method === 'DELETE') {
      done();
      return;
    }
    try {
      const isWrite = request.routeOptions.url === WRITES && request.method === 'POST';
      whenOver(reply, limits.enter(askerOf(request, [space]), isWrite ? 'write' : 'read'));
      if (isWrite) {
        ingest.admit(space as SpaceId, laneOf(request));
        slots.check(space, laneOf(request));
        const underway = load.enter(announced(request) ?? 0);
        request.underway = underway;
        whenOver(reply, () => underway.leave());
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

/** The length of a small body; larger ones, and those that do not say, are counted as they come. */
function announced({ headers }: FastifyRequest): number | undefined {
  const length = Number(headers['content-length']);
  return length <= ANNOUNCED_MAX ? length : undefined;
}

/** Counts large bodies as they come: who announces much and sends nothing is to keep nobody out. */
export function countBody(app: GatewayApp): void {
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const { underway } = request;
    if (underway === undefined || announced(request) !== undefined) {
      done(null, payload);
      return;
    }
    let bytes = 0;
    const counted = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        bytes += chunk.length;
        underway.resize(bytes);
        next(null, chunk);
      },
    });
    done(
      null,
      pipeline(payload, counted, () => undefined),
    );
  });
}

export const WRITES = '/v1/spaces/:space/observations';

/** Callers are told apart where they must say who they are. */
export function askerOf({ principal }: FastifyRequest, spaces: readonly string[]): Asker {
  return { spaces, caller: principal === ANYBODY ? undefined : principal.id };
}

/** Of the write as a whole: items may name others. What is no lane is refused by the schema. */
export function laneOf({ query }: FastifyRequest): Lane {
  const { lane } = query as { readonly lane?: unknown };
  return LANES.find((each) => each === lane) ?? DEFAULT_LANE;
}
