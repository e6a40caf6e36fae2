import { parseSpaceId } from '@engram/model';
import type { Scope } from '@engram/access';
import type { FastifyInstance } from 'fastify';
import type { Authenticator } from './authenticator.ts';
import { NOBODY, requireOperator, requireScope, type Principal } from './principal.ts';

/**
 * Who may call a route: everybody (`open`); who has a scope for the space in its path; whoever is known,
 * the rest being judged by the route itself (`judged`); or operators, which is what a route gets that
 * says nothing.
 */
type RouteAccess = 'open' | Scope | 'judged' | 'operator';

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
  interface FastifyRequest {
    /** Who makes the request, in routes that are guarded. */
    principal: Principal;
  }
}

/** Guards the routes that are added to `app` from here on: before a byte of their body is read. */
export function guard(app: FastifyInstance, authenticator: Authenticator): void {
  app.decorateRequest('principal');
  app.addHook('onRequest', async (request) => {
    const { access = 'operator' } = request.routeOptions.config;
    request.principal =
      access === 'open' ? NOBODY : await authenticator.authenticate(request.headers.authorization);
    if (access === 'operator') requireOperator(request.principal);
    else if (access !== 'open' && access !== 'judged') {
      const { space } = request.params as { readonly space?: unknown };
      requireScope(request.principal, access, parseSpaceId(space));
    }
  });
}
