import type { ConsolePage } from '@engram/console';
import type { GatewayApp } from '../server.ts';
import { sendProblem } from '../problem.ts';

/** A page for people. It asks the routes of operators and users as everybody does, with a key of its own. */
export function consoleRoute(app: GatewayApp, page: ConsolePage | undefined): void {
  app.get('/console', { schema: { hide: true } }, (_request, reply) => {
    if (page === undefined)
      return sendProblem(reply, {
        code: 'ROUTE_NOT_FOUND',
        status: 404,
        detail: 'the console was not built',
        hint: 'pnpm build makes it; then start the gateway anew',
      });
    return reply
      .headers({
        'content-security-policy': page.policy,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-cache',
      })
      .type('text/html; charset=utf-8')
      .send(page.html);
  });
}
