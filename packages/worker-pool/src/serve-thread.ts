import assert from 'node:assert/strict';
import { parentPort, type TransferListItem } from 'node:worker_threads';
import { ClusterError } from '@engram/model';
import type { ThreadMessage, ThreadRequest } from './worker-thread.ts';

export interface ThreadAnswer {
  readonly value: unknown;
  readonly transfer?: readonly TransferListItem[];
}

/**
 * The other end of a `WorkerThread`: answers each request, in whatever order they finish.
 * @returns tells the other end something unasked; it comes before every later answer
 */
export function serveThread(
  answer: (body: unknown) => ThreadAnswer | Promise<ThreadAnswer>,
): (news: unknown) => void {
  assert(parentPort !== null, 'serveThread runs in a worker thread');
  const port = parentPort;
  const reply = async (request: ThreadRequest) => {
    if ('isEnd' in request) process.exit();
    const { id, body } = request;
    let message: ThreadMessage;
    let transfer: readonly TransferListItem[] = [];
    try {
      const { value, transfer: moved = [] } = await answer(body);
      message = { id, ok: value };
      transfer = moved;
    } catch (error) {
      const told = ClusterError.from(error);
      message = { id, error: told.toJSON(), ...(told.cause !== undefined && causeOf(told)) };
    }
    port.postMessage(message, transfer);
  };
  port.on('message', (request: ThreadRequest) => void reply(request));
  port.postMessage('ready');
  return (news) => port.postMessage({ news } satisfies ThreadMessage);
}

/** In words: errors lose their kind on the way. */
function causeOf({ cause }: ClusterError): { readonly cause: string } {
  return { cause: cause instanceof Error ? cause.message : String(cause) };
}
