import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { EngramClient } from '../src/index.ts';

/** Any server that stands where a gateway was expected. */
async function serverOf(answer: (response: ServerResponse) => void): Promise<string> {
  const server = createServer((_, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each(['{}', 'null', '[]', '"tea"', 'tea', '{"members":[null]}'])(
  'what answers anything is called no gateway: %s',
  async (body) => {
    const url = await serverOf((response) => response.end(body));
    const client = new EngramClient({ url });
    const asked = await Promise.allSettled([
      client.cluster(),
      client.space('notes'),
      client.put('notes', [{ id: 'a', embedding: [1] }]),
      client.delete('notes', 'a'),
      client.recall('notes', { embedding: [1], k: 1 }),
      client.recallStream('notes', { embedding: [1], k: 1 }).next(),
      client.tail('notes').next(),
      client.spaces().next(),
      client.deadLetters.list().next(),
    ]);
    for (const each of asked)
      expect(each).toMatchObject({ reason: { name: 'ConnectionError', fault: 'no-gateway' } });
  },
);

const CLUSTER = { cluster: 'c', epoch: 1, degraded: false, members: [] };
const SHARD = { id: 'a', role: 'shard' };

test.each([
  ['members', { members: [{ ...SHARD, pressure: [null] }] }],
  ['members', { members: [{ ...SHARD, applied: { low: 1 } }] }],
  ['members', { members: [{ ...SHARD, observations: [7] }] }],
  ['partitions', { partitions: [{ partition: 1 }, 0] }],
  ['reasons', { reasons: [7] }],
  ['nats', { nats: { connected: true, logBytes: [] } }],
])('a cluster is not taken with other %s', async (field, changes) => {
  const url = await serverOf((response) =>
    response.end(JSON.stringify({ ...CLUSTER, ...changes })),
  );
  const asked = new EngramClient({ url }).cluster();
  await expect(asked).rejects.toMatchObject({
    fault: 'no-gateway',
    message: expect.stringMatching(`has no ${field}$`) as string,
  });
});

test('counts below nothing are no answer to a put', async () => {
  const url = await serverOf((response) => response.end('{"accepted":1,"rejected":-1}'));
  const put = new EngramClient({ url }).put('notes', [{ id: 'a', embedding: [1] }]);
  await expect(put).rejects.toMatchObject({ fault: 'no-gateway' });
});

test('a redirection is not followed: nobody else is sent what is stored', async () => {
  let requests = 0;
  const other = await serverOf((response) => {
    requests++;
    response.end(JSON.stringify(CLUSTER));
  });
  const url = await serverOf((response) => response.writeHead(307, { location: other }).end());
  await expect(new EngramClient({ url, retries: 0 }).cluster()).rejects.toMatchObject({
    fault: 'no-gateway',
    message: expect.stringContaining(`redirects to ${other}`) as string,
  });
  expect(requests).toBe(0);
});

test.each([
  ['an answer', (client: EngramClient) => client.cluster()],
  ['a line', (client: EngramClient) => client.tail('notes').next()],
])('%s without an end is left', async (_, ask) => {
  const chunk = Buffer.alloc(4 * 1024 * 1024, 0x20);
  let hasEnded = false;
  const url = await serverOf((response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more).on('close', () => (hasEnded = true));
    more();
  });
  const client = new EngramClient({ url, retries: 0 });
  await expect(ask(client)).rejects.toMatchObject({ fault: 'no-gateway' });
  await expect.poll(() => hasEnded).toBe(true);
});
