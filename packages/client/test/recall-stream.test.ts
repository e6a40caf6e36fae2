import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { EngramClient, type ClientOptions } from '../src/index.ts';

const QUERY = { embedding: [1, 0], k: 10 };
const hit = (id: string) => `${JSON.stringify({ id, score: 1, metadata: { text: 'tä\u2028' } })}\n`;
const END = { count: 2, watermark: '5-0.9.0', degraded: false, reasons: [], tookMs: 1 };

/** A gateway that streams as the test says; `closed` resolves once the client has gone. */
async function streaming(write: (response: ServerResponse, count: number) => void) {
  let asked = 0;
  let accept: string | undefined;
  let close = (): void => undefined;
  const closed = new Promise<void>((resolve) => (close = resolve));
  const server = createServer((request, response) => {
    accept = request.headers.accept;
    request.resume();
    response.on('close', close);
    write(response, ++asked);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    client: (options: Partial<ClientOptions> = {}) =>
      new EngramClient({ url: `http://127.0.0.1:${port}`, ...options }),
    closed,
    asked: () => asked,
    accept: () => accept,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function begin(response: ServerResponse): ServerResponse {
  return response.writeHead(200, { 'content-type': 'application/x-ndjson' });
}

describe('a streamed recall', () => {
  test('gives hits however the bytes are cut, and returns its end', async () => {
    await using gateway = await streaming((response) => {
      const bytes = Buffer.from(`${hit('a')}${hit('b')}${JSON.stringify({ end: END })}\n`);
      begin(response);
      const next = (at: number) => {
        if (at >= bytes.length) response.end();
        else response.write(bytes.subarray(at, at + 7), () => setImmediate(next, at + 7));
      };
      next(0);
    });
    const stream = gateway.client().recallStream('words', QUERY);
    const first = await stream.next();
    expect(first).toMatchObject({ value: { id: 'a', metadata: { text: 'tä\u2028' } } });
    expect(await stream.next()).toMatchObject({ value: { id: 'b' }, done: false });
    expect(await stream.next()).toEqual({ value: END, done: true });
    expect(gateway.accept()).toContain('application/x-ndjson');
  });

  test('throws the problem of an error line', async () => {
    const error = { code: 'CURSOR_EXPIRED', status: 410, detail: 'given up', hint: 'ask again' };
    await using gateway = await streaming((response) => {
      begin(response).end(`${hit('a')}${JSON.stringify({ error })}\n`);
    });
    const stream = gateway.client().recallStream('words', QUERY);
    await stream.next();
    await expect(stream.next()).rejects.toMatchObject({
      name: 'ClusterError',
      code: 'CURSOR_EXPIRED',
      message: 'given up',
      hint: 'ask again',
    });
  });

  test.each([
    ['without an end', (response: ServerResponse) => void response.end(hit('a'))],
    ['in the middle', (response: ServerResponse) => cut(response, hit('a'))],
    ['in the middle of a line', (response: ServerResponse) => cut(response, `${hit('a')}{"id`)],
  ])('that stops %s is a lost connection', async (_, write) => {
    await using gateway = await streaming((response) => write(begin(response)));
    const stream = gateway.client().recallStream('words', QUERY);
    expect((await stream.next()).value).toMatchObject({ id: 'a' });
    await expect(stream.next()).rejects.toMatchObject({
      name: 'ConnectionError',
      fault: 'unreachable',
    });
    expect(gateway.asked()).toBe(1);
  });

  test('that says nothing more is a timeout', async () => {
    await using gateway = await streaming((response) => void begin(response).write(hit('a')));
    const stream = gateway.client({ timeoutMs: 100 }).recallStream('words', QUERY);
    await stream.next();
    await expect(stream.next()).rejects.toMatchObject({ fault: 'timeout' });
    await gateway.closed;
  });

  test('ends the request when its reader leaves or aborts', async () => {
    for (const way of ['leave', 'abort'] as const) {
      await using gateway = await streaming((response) => void begin(response).write(hit('a')));
      const control = new AbortController();
      const stream = gateway.client().recallStream('words', QUERY, { signal: control.signal });
      await stream.next();
      if (way === 'leave') await stream.return(END);
      else {
        const next = stream.next();
        control.abort(new Error('enough'));
        await expect(next).rejects.toThrow('enough');
      }
      await gateway.closed;
    }
  });

  test('is refused with a problem, after repetitions where those help', async () => {
    await using gateway = await streaming((response, count) => {
      const [status, code] =
        count === 1 ? [503, 'PARTITION_UNAVAILABLE'] : [404, 'SPACE_NOT_FOUND'];
      response.writeHead(status, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ status, code, detail: 'why' }));
    });
    const stream = gateway.client().recallStream('words', QUERY);
    await expect(stream.next()).rejects.toMatchObject({ code: 'SPACE_NOT_FOUND' });
    expect(gateway.asked()).toBe(2);
  });
});

function cut(response: ServerResponse, text: string): void {
  response.write(text, () => setImmediate(() => response.destroy()));
}
