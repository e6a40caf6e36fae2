import type { IncomingHttpHeaders } from 'node:http';
import type { Static } from 'typebox';
import { bodyKind, CONTENT_TYPES, type BodyKind } from '@engram/codec';
import { requestKey, type StoredAnswer } from '@engram/log';
import { ClusterError, observationIdFault, type SpaceConfig } from '@engram/model';
import type { Span } from '@engram/tracing';
import type { FastifyReply } from 'fastify';
import type { Principal } from '../../auth/principal.ts';
import type { IngestResult } from '../../ingest/ingest.ts';
import { numbersOf } from '../../recall/results.ts';
import { findSpace } from '../find-space.ts';
import { askerOf, laneOf, WRITES } from '../limit-requests.ts';
import { LISTED_ERRORS_MAX, sendRefusedBatch, unknownType } from '../problem.ts';
import { whenOver } from '../when-over.ts';
import {
  answers,
  Deleted,
  DeleteByQuery,
  DeleteHeaders,
  DeleteQuery,
  GetByQuery,
  GetQuery,
  Ingested,
  IngestBody,
  IngestQuery,
  ObservationAnswer,
  ObservationParams,
  REQUEST_ID,
  SpaceParams,
  WriteHeaders,
} from '../schemas.ts';
import type { GatewayApp, Gateway } from '../server.ts';

interface Asked {
  readonly principal: Principal;
  readonly headers: IncomingHttpHeaders;
  readonly params: { readonly space: string };
  readonly span: Span | undefined;
}

export function observationRoutes(app: GatewayApp, gateway: Gateway): void {
  const { directory, ingest, slots, recall, idempotency } = gateway;
  const tags = ['observations'];
  const find = ({ principal, params }: Asked) => findSpace(directory, principal, params.space);

  app.post(WRITES, {
    config: { access: 'write' },
    schema: {
      tags,
      summary: 'Write observations',
      description: `Takes ${Object.values(CONTENT_TYPES).join(', ')}, each also with content-encoding gzip. One bad observation never takes a good one with it, unless atomic=true. An Idempotency-Key header makes a repeated request count once for 24 hours, and an Engram-Request-Id for two minutes.`,
      params: SpaceParams,
      querystring: IngestQuery,
      body: IngestBody,
      headers: WriteHeaders,
      response: answers({ 200: Ingested, 202: Ingested, 207: Ingested }),
    },
    handler: async (request, reply) => {
      const config = await find(request);
      const kind = kindOf(request.headers['content-type']);
      const body = request.body as Buffer | null;
      if (body === null || body === undefined || body.length === 0)
        throw new ClusterError('EMPTY_BATCH', 'the request has no body');
      const { lane, atomic, ack, timeoutMs } = request.query;
      request.underway?.resize(body.length);
      const leave = slots.enter(config.space, laneOf(request));
      whenOver(reply, leave);
      ingest.admitBody({ config, bytes: body, lane });
      const clientKey = keyOf(request.headers, 'idempotency-key');
      const requestId = keyOf(request.headers, REQUEST_ID);
      // What is not part of the body but of the request's meaning tells requests apart too.
      const content = [`${kind} ${lane ?? ''} ${atomic}\n`, body];
      const claim =
        clientKey === undefined ? undefined : await idempotency.claim(config, clientKey, content);
      if (claim?.kind === 'answered') {
        const again = JSON.parse(claim.answer.body) as Static<typeof Ingested>;
        return reply
          .code(claim.answer.status)
          .headers({ 'idempotency-replayed': 'true', ...countHeaders(again) })
          .send(again);
      }
      const result = await ingest.put({
        config,
        asker: askerOf(request, [config.space]),
        kind,
        bytes: body,
        lane,
        isAtomic: atomic,
        key: claim?.key ?? (requestId && requestKey(config, requestId, ...content)),
        ack: { level: ack, timeoutMs },
        span: request.span,
        onLogged: leave,
      });
      return answer(reply, config, result, async (status, text) => {
        if (claim === undefined) return;
        // The write is stored: that its answer is not remembered makes no failure of it. Repeated, it
        // goes to the log again under the same ids.
        await idempotency
          .finish(claim, { status, body: text })
          .catch((error: unknown) => request.log.warn({ err: error }, 'answer not remembered'));
      });
    },
  });

  const read = async (asked: Asked, given: string, query: Static<typeof GetQuery>) => {
    const config = await find(asked);
    const { minPosition, waitMs = 1_000 } = query;
    const found = await recall.get(config, idOf(given), minPosition, waitMs, asked.span);
    return {
      id: found.id,
      embedding: numbersOf(found.embedding ?? new Uint8Array(0)),
      ...(found.metadata === undefined ? {} : { metadata: JSON.parse(found.metadata) as unknown }),
      ...(found.timestamp === undefined ? {} : { timestamp: found.timestamp }),
      watermark: found.watermark,
    };
  };

  const remove = async (asked: Asked, given: string, query: Static<typeof DeleteQuery>) => {
    const config = await find(asked);
    const { ack: level, timeoutMs } = query;
    const id = idOf(given);
    // Sent again after a put that came meanwhile it must not take that away.
    const requestId = keyOf(asked.headers, REQUEST_ID);
    const key = requestId && requestKey(config, requestId, 'delete\n', id);
    const deleted = await ingest.delete(config, id, { level, timeoutMs }, key, asked.span);
    const status = level !== 'logged' && deleted.ack === level ? 200 : 202;
    return { status, deleted } as const;
  };

  app.get('/v1/spaces/:space/observations/:id', {
    config: { access: 'read' },
    schema: {
      tags,
      summary: 'Read one observation',
      params: ObservationParams,
      querystring: GetQuery,
      response: answers({ 200: ObservationAnswer }),
    },
    handler: (request) => read(request, request.params.id, request.query),
  });

  app.get('/v1/spaces/:space/observations', {
    config: { access: 'read' },
    schema: {
      tags,
      summary: 'Read one observation by an id in the query',
      params: SpaceParams,
      querystring: GetByQuery,
      response: answers({ 200: ObservationAnswer }),
    },
    handler: (request) => read(request, request.query.id, request.query),
  });

  app.delete('/v1/spaces/:space/observations/:id', {
    config: { access: 'write' },
    schema: {
      tags,
      summary: 'Delete one observation',
      params: ObservationParams,
      querystring: DeleteQuery,
      headers: DeleteHeaders,
      response: answers({ 200: Deleted, 202: Deleted }),
    },
    handler: async (request, reply) => {
      const { status, deleted } = await remove(request, request.params.id, request.query);
      return reply.code(status).send(deleted);
    },
  });

  app.delete('/v1/spaces/:space/observations', {
    config: { access: 'write' },
    schema: {
      tags,
      summary: 'Delete one observation by an id in the query',
      params: SpaceParams,
      querystring: DeleteByQuery,
      headers: DeleteHeaders,
      response: answers({ 200: Deleted, 202: Deleted }),
    },
    handler: async (request, reply) => {
      const { status, deleted } = await remove(request, request.query.id, request.query);
      return reply.code(status).send(deleted);
    },
  });
}

async function answer(
  reply: FastifyReply,
  config: SpaceConfig,
  result: IngestResult,
  remember: (status: StoredAnswer['status'], body: string) => Promise<void>,
): Promise<FastifyReply> {
  const { accepted, rejected, errors, position, ack } = result;
  void reply.headers(countHeaders(result));
  // A refused batch is not remembered: sent again it is refused again, or good by then.
  if (position === undefined) return sendRefusedBatch(reply, config.space, errors, result.total);
  const body = {
    accepted,
    rejected,
    position,
    ack,
    ...(rejected === 0
      ? {}
      : {
          errors: errors.slice(0, LISTED_ERRORS_MAX),
          errorsTruncated: errors.length > LISTED_ERRORS_MAX,
        }),
  };
  const status = rejected > 0 ? 207 : ack === 'logged' ? 202 : 200;
  await remember(status, JSON.stringify(body));
  return reply.code(status).send(body);
}

/** The counts for proxies and clients that do not read bodies. */
function countHeaders({ accepted, rejected }: Pick<IngestResult, 'accepted' | 'rejected'>) {
  return { 'engram-accepted': String(accepted), 'engram-rejected': String(rejected) };
}

/** @throws ClusterError UNSUPPORTED_MEDIA_TYPE */
function kindOf(contentType: string | undefined): BodyKind {
  const kind = bodyKind(contentType ?? CONTENT_TYPES.json);
  if (kind !== undefined) return kind;
  throw unknownType(contentType, {
    hint: `send one of ${Object.values(CONTENT_TYPES).join(', ')}`,
  });
}

/** @throws ClusterError INVALID_PARAMETER */
function keyOf(
  headers: IncomingHttpHeaders,
  name: 'idempotency-key' | typeof REQUEST_ID,
): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^[\x21-\x7e]{1,255}$/.test(value)) return value;
  throw new ClusterError('INVALID_PARAMETER', `${name} has 1 to 255 visible ASCII characters`, {
    pointer: `#${name}`,
  });
}

/** @throws ClusterError INVALID_ID */
function idOf(value: string): string {
  const fault = observationIdFault(value);
  if (fault === undefined) return value;
  throw new ClusterError('INVALID_ID', fault, { pointer: '#id' });
}
