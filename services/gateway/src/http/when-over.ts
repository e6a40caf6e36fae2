import type { FastifyReply } from 'fastify';

/**
 * Calls back once a request is over: answered, or its client gone. That may be so already: who asks who the
 * caller is, or unpacks a body, takes time.
 */
export function whenOver({ raw }: Pick<FastifyReply, 'raw'>, then: () => void): void {
  if (raw.closed || raw.destroyed) then();
  else raw.once('close', then);
}
