import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CONTENT_TYPES, readItems } from '@engram/codec';

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed; of a frame the observations that it has. */
  readonly body: unknown;
}

/** `hang` never answers, `cut` ends the connection. */
export type Answer =
  { status: number; body?: unknown; headers?: Record<string, string> } | 'hang' | 'cut';

export interface FakeGateway extends AsyncDisposable {
  readonly url: string;
  /** Every request, in the order of arrival. */
  readonly asked: Asked[];
}

function read(bytes: Buffer, headers: IncomingHttpHeaders): unknown {
  if (bytes.length === 0) return undefined;
  if (headers['content-type'] === CONTENT_TYPES.frame)
    return { observations: readItems('frame', bytes).map(({ value }) => value) };
  return JSON.parse(bytes.toString());
}

/** A real HTTP server on loopback that answers as the test says. */
export async function fakeGateway(
  answer: (asked: Asked, count: number) => Answer,
): Promise<FakeGateway> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const one: Asked = { method, url, headers, body: read(Buffer.concat(chunks), headers) };
      asked.push(one);
      const told = answer(one, asked.length);
      if (told === 'hang') return;
      if (told === 'cut') {
        request.socket.destroy();
        return;
      }
      const kind = told.status < 400 ? 'application/json' : 'application/problem+json';
      response.writeHead(told.status, { 'content-type': kind, ...told.headers });
      response.end(told.body === undefined ? undefined : JSON.stringify(told.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
