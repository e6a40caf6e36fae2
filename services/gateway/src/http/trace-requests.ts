import { TRACEPARENT, type Span, type Tracing } from '@engram/tracing';
import type { FastifyInstance } from 'fastify';
import { whenOver } from './when-over.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a request that is traced. */
    span: Span | undefined;
  }
}

/** Traces some of the requests to the routes that are added to `app` from here on, or those whose caller does. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  app.decorateRequest('span');
  app.addHook('onRequest', (request, reply, done) => {
    const given = request.headers[TRACEPARENT];
    const { url: route = 'none' } = request.routeOptions;
    const span = tracing.begin(
      `${request.method} ${route}`,
      typeof given === 'string' ? given : undefined,
      {
        kind: 'server',
        attributes: { 'http.request.method': request.method, 'http.route': route },
      },
    );
    request.span = span;
    // Also of who goes away before there is an answer: those are the ones to look at.
    if (span !== undefined)
      whenOver(reply, () => {
        const { statusCode } = reply;
        span.set({ 'http.response.status_code': statusCode });
        span.end(statusCode >= 500 ? new Error(`status ${statusCode}`) : undefined);
      });
    done();
  });
}
