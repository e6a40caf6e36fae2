import { Agent, request as ask } from 'undici';
import type { HttpSend } from './http.ts';

/** Of all clients in the process; connections that nobody uses do not keep it alive. */
const dispatcher = new Agent();

/**
 * Node's fetch is the same library, but passes each body through a stream of the web, in copies: a batch of
 * 240 KB took 1.7 ms of a core where this takes 0.6.
 */
export const send: HttpSend = async (url, { method, headers, body, signal }) => {
  const answer = await ask(url, {
    dispatcher,
    method,
    headers,
    signal,
    ...(body === undefined ? {} : { body }),
  });
  return {
    status: answer.statusCode,
    header(name) {
      const value = answer.headers[name];
      return typeof value === 'string' ? value : value?.[0];
    },
    chunks: () => answer.body[Symbol.asyncIterator]() as AsyncIterableIterator<Uint8Array>,
  };
};
