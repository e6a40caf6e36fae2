import { TRACEPARENT, type Span, type Tracing } from '@engram/tracing';
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a request that is traced. */
    span: Span | undefined;
  }
}

/** Traces some of the requests to the routes that are added to `app` from here on, or those whose caller does. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.decorateRequest('span');
  app.addHook('onRequest', (request, _reply, done) => {
    const given = request.headers[TRACEPARENT];
    const { url: route = 'none' } = request.routeOptions;
    request.span = tracing.begin(
      `${request.method} ${route}`,
      typeof given === 'string' ? given : undefined,
      {
        kind: 'server',
        attributes: { 'http.request.method': request.method, 'http.route': route },
      },
    );
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { span } = request;
    span?.set({ 'http.response.status_code': reply.statusCode });
    span?.end(reply.statusCode >= 500 ? new Error(`status ${reply.statusCode}`) : undefined);
    done();
  });
}
