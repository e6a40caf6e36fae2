import { explainError, isErrorCode, type PartitionId } from '@engram/model';
import type { GatewayApp, Gateway } from '../server.ts';

/** What anybody may ask of a gateway: whether it is well, and what its errors mean. */
export function healthRoutes(app: GatewayApp, gateway: Gateway): void {
  const { membership, router, connection } = gateway;
  const tags = ['health'];

  app.get('/livez', {
    config: { access: 'open' },
    schema: { tags, summary: 'The process answers' },
    handler: () => ({ status: 'ok' }),
  });

  app.get('/readyz', {
    config: { access: 'open' },
    schema: {
      tags,
      summary: 'The gateway can serve',
      description:
        'About this gateway alone: a partition without a shard takes none away from the others, and is told in `checks`.',
    },
    handler: (_request, reply) => {
      const unserved = Array.from(
        { length: router.partitionCount },
        (_, p) => p as PartitionId,
      ).filter((partition) => router.candidates(partition).ready.length === 0).length;
      const checks = {
        accepting: !gateway.stop.aborted,
        nats: connection.isConnected,
        partitionsWithoutShard: unserved,
        membershipAgeMs: Math.round(membership.ageMs),
      };
      const isReady = checks.accepting && checks.nats;
      return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'unready', checks });
    },
  });

  app.get<{ Params: { code: string } }>('/problems/:code', {
    config: { access: 'open' },
    schema: { tags, summary: 'What an error code means' },
    handler: (request, reply) => {
      const code = request.params.code.toUpperCase();
      if (!isErrorCode(code)) return reply.callNotFound();
      const { title, status, retryable, advice } = explainError(code);
      return { code, title, status, retryable, advice };
    },
  });
}
