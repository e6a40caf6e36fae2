import type { GatewayApp, Gateway } from '../server.ts';

/** @param access scrapers have no key: on a port that only they reach, that port is what keeps others out */
export function metricsRoute(
  app: GatewayApp,
  { metrics }: Gateway,
  access: 'operator' | 'open',
): void {
  app.get('/metrics', {
    config: { access },
    schema: { tags: ['cluster'], summary: 'Prometheus exposition' },
    handler: async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.render()),
  });
}
