import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { EngramClient, type TailEvent } from '../src/index.ts';

/** A gateway whose nth answer is written by the nth function. */
async function gateway(...answers: ((response: ServerResponse) => void)[]) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = answers[asked.length - 1] ?? ((last) => last.writeHead(404).end());
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { client: new EngramClient({ url }), asked };
}

const begin = (response: ServerResponse, ...lines: object[]) => {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.write(lines.map((line) => `${JSON.stringify(line)}\n\n`).join(''));
  return response;
};
const put = (sequence: number) => ({
  op: 'put',
  id: `o${sequence}`,
  sequence,
  lane: 'normal',
  time: '2026-01-01T00:00:00.000Z',
  position: `1-${sequence}.${sequence}.${sequence}`,
});
const START = { start: { position: '1-3.3.3' } };

test('a line that breaks, and a gateway that goes away, are followed by the next from the same place', async () => {
  const { client, asked } = await gateway(
    (response) => begin(response, START, put(4)).write('{"op":"p', () => response.destroy()),
    (response) => response.destroy(),
    (response) => begin(response, START, put(5), { error: { code: 'SHUTTING_DOWN', status: 503 } }),
    (response) => begin(response, put(6), { error: { code: 'SPACE_NOT_FOUND', status: 404 } }),
  );
  const events: TailEvent[] = [];
  const failure = await (async () => {
    for await (const event of client.tail('notes')) events.push(event);
  })().catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'SPACE_NOT_FOUND' });
  expect(events.map(({ op, position }) => `${op} ${position}`)).toEqual([
    'start 1-3.3.3',
    'put 1-4.4.4',
    'put 1-5.5.5',
    'put 1-6.6.6',
  ]);
  expect(asked.map((url) => url.replace('/v1/spaces/notes/tail', ''))).toEqual([
    '',
    '?position=1-4.4.4',
    '?position=1-4.4.4',
    '?position=1-5.5.5',
  ]);
});

test('leaving the loop ends the request', async () => {
  let close = (): void => undefined;
  const closed = new Promise<void>((resolve) => (close = resolve));
  const { client } = await gateway((response) => {
    response.on('close', close);
    begin(response, START, put(4));
  });
  for await (const event of client.tail('notes', { since: new Date(0), embeddings: true }))
    if (event.op === 'put') break;
  await closed;
});
