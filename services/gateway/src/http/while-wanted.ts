import { ClusterError } from '@engram/model';
import type { FastifyReply } from 'fastify';
import { draining } from './problem.ts';

/** Aborts when the client is gone, or the gateway drains. */
export function whileWanted(
  reply: FastifyReply,
  stop: AbortSignal,
): { readonly signal: AbortSignal; readonly release: () => void } {
  const end = new AbortController();
  const onClose = () => end.abort(new ClusterError('REQUEST_TIMEOUT', 'the client went away'));
  const onStop = () => end.abort(draining());
  reply.raw.once('close', onClose);
  stop.addEventListener('abort', onStop, { once: true });
  return {
    signal: end.signal,
    release: () => {
      reply.raw.off('close', onClose);
      stop.removeEventListener('abort', onStop);
    },
  };
}
