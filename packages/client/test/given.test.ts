import type { Observation } from '@engram/model';
import { expect, test } from 'vitest';
import { EngramClient } from '../src/index.ts';
import { NatsWriter } from '../src/nats/index.ts';
import { Producer } from '../src/producer/producer.ts';
import { fakeGateway } from './fake-gateway.ts';
import { FakeStream } from './fake-stream.ts';

// What plain JavaScript may give, where no type was looked at.

const ONE = { id: 'a', embedding: [1, 2] };
const BIG = { id: 'b', embedding: [1, 2], metadata: { n: 1n } };
const list = (given: unknown) => given as readonly Observation[];

test('one object in place of a list was dropped by a session without a word', async () => {
  await using gateway = await FakeStream.start();
  gateway.onMessage = ({ type, seq }, self) => {
    if (type === 'open') self.opened();
    else if (seq !== undefined) self.ack(seq);
  };
  await using session = new EngramClient({ url: gateway.url }).session({ space: 'docs' });
  await expect(session.send(list(ONE))).rejects.toThrow(/^give a list of observations/);
  await expect(session.put(list(ONE))).rejects.toThrow(TypeError);
  await expect(session.put([ONE, BIG])).rejects.toThrow(/^observation 1 cannot be written as JSON/);
  // The session goes on.
  expect(await session.put([ONE])).toMatchObject({ accepted: 1 });
});

test('put says that it takes a list, and which observation cannot be JSON', async () => {
  await using gateway = await fakeGateway(() => ({ status: 200, body: { accepted: 1 } }));
  const client = new EngramClient({ url: gateway.url });
  for (const given of [ONE, undefined, null, 'a', new Set([ONE])])
    await expect(client.put('docs', list(given))).rejects.toThrow(/^give a list of observations/);
  await expect(client.put('docs', [ONE, BIG])).rejects.toThrow(/^observation 1 cannot be written/);
  const bigId = { ...ONE, id: 1n as never };
  await expect(client.put('docs', [ONE, bigId])).rejects.toThrow(
    /^observation 1 cannot be written/,
  );
  expect(gateway.asked).toEqual([]);
});

test('an observation without an embedding made put throw that it cannot read a length', async () => {
  const errors = [{ index: 0, code: 'INVALID_EMBEDDING', detail: 'why' }];
  const body = { code: 'NOTHING_ACCEPTED', errors, rejected: 1 };
  await using gateway = await fakeGateway(() => ({ status: 422, body }));
  const client = new EngramClient({ url: gateway.url });
  for (const given of [{ id: 'x' }, null, { id: 'x', embedding: null }])
    await expect(client.put('docs', list([given]))).rejects.toMatchObject({
      code: 'NOTHING_ACCEPTED',
      message: '1 of 1 observations were refused: INVALID_EMBEDDING at 0, why',
    });
  await expect(client.put('docs', list([ONE, null]))).rejects.toThrow();
  expect(gateway.asked).toHaveLength(4);
});

test('what is no observation is refused by write, and the producer goes on', async () => {
  const taken: string[] = [];
  const producer = new Producer((observations) => {
    taken.push(...observations.map(({ id }) => id));
    return Promise.resolve({
      accepted: observations.length,
      rejected: 0,
      errors: [],
      errorsTruncated: false,
    });
  });
  for (const given of [[ONE], undefined, null, 'a'])
    await expect(producer.write(given as never)).rejects.toThrow(/^give one observation/);
  await expect(producer.write(BIG)).rejects.toThrow(/^the metadata of the observation "b"/);
  await producer.write(ONE);
  expect(await producer.close()).toMatchObject({ accepted: 1 });
  expect(taken).toEqual(['a']);
});

test('a client without a url, or with one without a scheme, failed later or spoke of a length', () => {
  const made = (options: object) => () => new EngramClient(options as { url: string });
  for (const options of [{}, { url: undefined }, { url: [] }])
    expect(made(options)).toThrow("the client needs the url of a gateway, as { url: 'http");
  for (const url of ['127.0.0.1:8123', 'localhost:8123', 'gateway', '', 'http://', 7, 'nats://a:1'])
    for (const given of [url, ['http://a', url]])
      expect(made({ url: given })).toThrow('a url must be a text that begins with http:// or');
  expect(made({ url: 'localhost:8123' })).toThrow('as http://127.0.0.1:7700, not "localhost:8123"');
  expect(made({ url: 'me:secret@host:1' })).not.toThrow('secret');
});

test('a writer without a url, or with one of a gateway, says what to give', async () => {
  for (const options of [{}, { url: 'http://127.0.0.1:7700' }, { url: '127.0.0.1:4222' }])
    await expect(NatsWriter.connect(options as { url: string })).rejects.toThrow(
      'a url must be a text that begins with nats:// or tls://, as nats://127.0.0.1:4222',
    );
});

test('the line break after an API key from a file made every call fail', async () => {
  await using gateway = await fakeGateway(() => ({ status: 204 }));
  const { url } = gateway;
  await new EngramClient({ url, apiKey: 'key\n' }).deleteSpace('docs');
  expect(gateway.asked[0]?.headers.authorization).toBe('Bearer key');
  for (const apiKey of ['', '\n', () => undefined as never])
    await expect(new EngramClient({ url, apiKey }).deleteSpace('docs')).rejects.toThrow(
      'the API key is empty',
    );
});
