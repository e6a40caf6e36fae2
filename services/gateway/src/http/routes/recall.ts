import { CONTENT_TYPES, embeddingFault, writeEmbedding } from '@engram/codec';
import {
  ClusterError,
  compileFilter,
  LIMITS,
  parsePosition,
  parseSpaceId,
  type Position,
  type SpaceConfig,
} from '@engram/model';
import type { Static } from 'typebox';
import { requireScope } from '../../auth/principal.ts';
import { countRecall } from '../../metrics.ts';
import type { RecallQuery } from '../../recall/recall.ts';
import { findSpace } from '../find-space.ts';
import { askerOf } from '../limit-requests.ts';
import { whenOver } from '../when-over.ts';
import { asksForStream, sendStream } from '../recall-lines.ts';
import {
  answers,
  MIN_POSITIONS_MAX,
  RecallBody,
  RecalledOrStream,
  RecallSpacesBody,
  SpaceParams,
} from '../schemas.ts';
import type { GatewayApp, Gateway } from '../server.ts';

export function recallRoutes(app: GatewayApp, gateway: Gateway): void {
  const { directory, recall, limits, metrics } = gateway;
  const tags = ['recall'];

  app.post('/v1/spaces/:space/recall', {
    config: { access: 'read' },
    schema: {
      tags,
      summary: 'Nearest observations of a space',
      params: SpaceParams,
      body: RecallBody,
      response: answers({ 200: RecalledOrStream }),
    },
    handler: async (request, reply) => {
      const isStreamed = asksForStream(request);
      requireK(request.body.k, isStreamed);
      const config = await findSpace(directory, request.principal, request.params.space);
      if (isStreamed) {
        const stream = await recall.stream([config], {
          ...toQuery(request.body, config),
          span: request.span,
        });
        countRecall(metrics, [config], stream.degraded);
        return sendStream(reply, stream, config.space);
      }
      const answer = await recall.recall([config], {
        ...toQuery(request.body, config),
        span: request.span,
      });
      countRecall(metrics, [config], answer.degraded);
      const { watermarks, results, ...rest } = answer;
      const watermark = watermarks[config.space];
      return {
        results: results.map(({ space: _same, ...hit }) => hit),
        ...rest,
        ...(watermark === undefined ? {} : { watermark }),
      };
    },
  });

  app.post('/v1/recall', {
    config: { access: 'judged' },
    schema: {
      tags,
      summary: 'Nearest observations of several spaces, merged',
      body: RecallSpacesBody,
      response: answers({ 200: RecalledOrStream }),
    },
    handler: async (request, reply) => {
      const isStreamed = asksForStream(request);
      requireK(request.body.k, isStreamed);
      const names = [...new Set(request.body.spaces)];
      // All of them are judged before the first is looked up.
      for (const [index, name] of names.entries())
        requireScope(request.principal, 'read', parseSpaceId(name, `/spaces/${index}`));
      whenOver(reply, limits.enter(askerOf(request, names), 'read'));
      const configs = await Promise.all(
        names.map((name, index) =>
          findSpace(directory, request.principal, name, `/spaces/${index}`),
        ),
      );
      const first = configs[0]!;
      const other = configs.findIndex(
        ({ dimension, metric }) => dimension !== first.dimension || metric !== first.metric,
      );
      if (other >= 0)
        throw new ClusterError(
          'INVALID_PARAMETER',
          'the spaces differ in dimension or metric, so their scores do not compare',
          {
            pointer: `/spaces/${other}`,
          },
        );
      if (isStreamed) {
        const stream = await recall.stream(configs, {
          ...toQuery(request.body, first),
          span: request.span,
        });
        countRecall(metrics, configs, stream.degraded);
        return sendStream(reply, stream);
      }
      const answer = await recall.recall(configs, {
        ...toQuery(request.body, first),
        span: request.span,
      });
      countRecall(metrics, configs, answer.degraded);
      return answer;
    },
  });
}

/** @throws ClusterError INVALID_BODY */
function requireK(k: number, isStreamed: boolean): void {
  if (isStreamed || k <= LIMITS.kMax) return;
  throw new ClusterError('INVALID_BODY', `k must be <= ${LIMITS.kMax}`, {
    pointer: '/k',
    hint: `a streamed answer may have ${LIMITS.streamKMax}: accept ${CONTENT_TYPES.ndjson}`,
  });
}

/** @throws ClusterError INVALID_*, DIMENSION_MISMATCH, ZERO_EMBEDDING */
export function toQuery(body: Static<typeof RecallBody>, config: SpaceConfig): RecallQuery {
  const { k, ef, exact, filter, include, minPosition, asOf, waitMs, allowPartial } = body;
  const { dimension, metric, space } = config;
  const embedding = new Float32Array(dimension);
  const fault =
    writeEmbedding(body.embedding, dimension, embedding, 0) ??
    embeddingFault(embedding, 0, dimension, metric);
  if (fault !== undefined)
    throw new ClusterError(
      fault.code,
      `space ${space}: the embedding is refused: ${fault.detail}`,
      {
        pointer: '/embedding',
      },
    );
  if (!exact && ef !== undefined && ef < k)
    throw new ClusterError('INVALID_PARAMETER', `ef must be at least k: it is ${ef}, k is ${k}`, {
      pointer: '/ef',
    });
  if (filter !== undefined) {
    compileFilter(filter);
    // It travels to the shard in one message beside the embedding.
    const bytes = Buffer.byteLength(JSON.stringify(filter));
    if (bytes > LIMITS.filterBytesMax)
      throw new ClusterError(
        'INVALID_FILTER',
        `the filter has ${bytes} bytes, ${LIMITS.filterBytesMax} are allowed`,
        {
          pointer: '/filter',
        },
      );
  }
  return {
    embedding,
    k,
    ...(ef === undefined ? {} : { ef }),
    exact,
    ...(filter === undefined ? {} : { filter }),
    include,
    minPositions: toPositions(minPosition, '/minPosition'),
    asOf: toPositions(asOf, '/asOf'),
    waitMs,
    allowPartial,
  };
}

/** @throws ClusterError INVALID_POSITION */
function toPositions(given: unknown, pointer: string): Position[] {
  if (given === undefined) return [];
  const tokens: unknown[] = Array.isArray(given) ? given : [given];
  if (tokens.length === 0)
    throw new ClusterError('INVALID_POSITION', 'the list is empty', {
      pointer,
      hint: 'leave the field away where no position is meant',
    });
  if (tokens.length > MIN_POSITIONS_MAX)
    throw new ClusterError(
      'INVALID_POSITION',
      `at most ${MIN_POSITIONS_MAX} positions are allowed`,
      { pointer },
    );
  return tokens.map((token) => parsePosition(token, pointer));
}
