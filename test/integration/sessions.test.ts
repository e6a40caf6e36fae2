import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { logState } from '../support/inspect.ts';
import { StreamClient } from '../support/stream-client.ts';
import { until } from '../support/until.ts';

const MESSAGE_BYTES_MAX = 64 * 1024;

let running: TestCluster;
let url: string;

beforeAll(async () => {
  running = await startTestCluster({
    shards: 1,
    env: {
      ENGRAM_SESSION_MESSAGE_BYTES_MAX: String(MESSAGE_BYTES_MAX),
      ENGRAM_SESSION_IDLE_MS: '4000',
      ENGRAM_SESSIONS_MAX: '12',
    },
  });
  ({ url } = running.cluster);
  await running.client.createSpace('docs', { dimension: 3 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

let made = 0;
/** Observations with ids that no other test has. */
const some = (count: number, prefix = `o${made++}`) =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}-${i}`, embedding: [1, i, made] }));

describe('batches', () => {
  test.each(['json', 'msgpack'] as const)(
    'are acknowledged together, with a position that a recall can wait for, in %s',
    async (format) => {
      using client = await StreamClient.open(url, { space: 'docs', ack: 'searchable' }, format);
      const [first, second] = [some(2), some(3)];
      client.batch(1, first);
      client.batch(2, second);
      const ack = await client.next('ack', ({ upTo }) => upTo === 2);
      expect(ack).toMatchObject({ level: 'searchable' });
      expect(ack.refused).toBeUndefined();
      for (const { id } of [...first, ...second])
        expect(await running.client.get('docs', id)).toMatchObject({ id });
      const { results } = await running.client.recall('docs', {
        embedding: [1, 0, 0],
        k: 1,
        minPosition: ack.position!,
      });
      expect(results).toHaveLength(1);
    },
  );

  test('with embeddings as bytes in MessagePack are the same observations', async () => {
    using client = await StreamClient.open(url, { space: 'docs', ack: 'searchable' }, 'msgpack');
    const embedding = Buffer.from(Float32Array.from([0.5, 0.25, 1]).buffer);
    client.batch(1, [{ id: 'bytes', embedding }]);
    await client.next('ack');
    const { embedding: stored } = await running.client.get('docs', 'bytes');
    expect([...stored]).toEqual([0.5, 0.25, 1]);
  });

  test('with bad observations say which, and the others are stored', async () => {
    using client = await StreamClient.open(url, { space: 'docs', ack: 'searchable' });
    const [good] = some(1);
    client.batch(1, [good, { id: 'bad', embedding: [1, 2] }]);
    client.batch(2, []);
    client.batch(3, { id: 'no list' });
    client.batch(4, some(1));
    const refused = [];
    for (let upTo = 0; upTo < 4;) {
      const ack = await client.next('ack');
      refused.push(...(ack.refused ?? []));
      ({ upTo } = ack);
    }
    expect(refused).toMatchObject([
      {
        seq: 1,
        rejected: 1,
        errors: [{ index: 1, id: 'bad', code: 'DIMENSION_MISMATCH' }],
      },
      { seq: 2, problem: { code: 'EMPTY_BATCH', pointer: '/observations' } },
      { seq: 3, problem: { code: 'INVALID_BODY', pointer: '/observations' } },
    ]);
    expect(await running.client.get('docs', good!.id)).toMatchObject({ id: good!.id });
  });

  test('that are atomic are refused whole', async () => {
    using client = await StreamClient.open(url, { space: 'docs', atomic: true });
    const [good] = some(1);
    client.batch(1, [good, { id: 'bad', embedding: [0, 0, 0] }]);
    const { refused, position } = await client.next('ack');
    expect(refused).toMatchObject([{ seq: 1, rejected: 2, errors: [{ code: 'ZERO_EMBEDDING' }] }]);
    expect(position).toBeUndefined();
  });

  test('out of order are answered by what was expected, and nothing is lost', async () => {
    using client = await StreamClient.open(url, { space: 'docs' });
    client.batch(2, some(1));
    expect(await client.next('problem')).toMatchObject({
      seq: 2,
      problem: { code: 'SEQUENCE_GAP', details: { expected: 1 } },
    });
    client.batch(1, some(1));
    await client.next('ack', ({ upTo }) => upTo === 1);
    client.batch(1, some(1));
    expect(await client.next('problem')).toMatchObject({
      seq: 1,
      problem: { code: 'SEQUENCE_DUPLICATE', details: { acked: 1 } },
    });
    client.batch(2, some(1));
    await client.next('ack', ({ upTo }) => upTo === 2);
  });

  test('sent again by a session that goes on elsewhere are in the log once', async () => {
    const batches = [some(2), some(2), some(2)];
    using first = await StreamClient.connect(url);
    first.send({ type: 'open', space: 'docs' });
    const { session } = await first.next('opened');
    batches.forEach((batch, i) => first.batch(i + 1, batch));
    await first.next('ack', ({ upTo }) => upTo === 3);
    first.socket.terminate();
    const before = (await logState(running)).last_seq;
    using second = await StreamClient.connect(url);
    second.send({ type: 'open', space: 'docs', resume: { session, acked: 1 } });
    expect(await second.next('opened')).toMatchObject({ session, acked: 1 });
    second.batch(2, batches[1]);
    second.batch(3, batches[2]);
    const { position } = await second.next('ack', ({ upTo }) => upTo === 3);
    expect((await logState(running)).last_seq).toBe(before);
    second.batch(4, some(1));
    const later = await second.next('ack', ({ upTo }) => upTo === 4);
    expect(later.position).not.toBe(position);
    expect((await logState(running)).last_seq).toBe(before + 1);
  });

  test('other than before under a number that was used are not taken for a repetition', async () => {
    using first = await StreamClient.connect(url);
    first.send({ type: 'open', space: 'docs' });
    const { session } = await first.next('opened');
    first.batch(1, some(1));
    await first.next('ack');
    using second = await StreamClient.open(url, {
      space: 'docs',
      ack: 'searchable',
      resume: { session, acked: 0 },
    });
    const [other] = some(1);
    second.batch(1, [other]);
    await second.next('ack');
    expect(await running.client.get('docs', other!.id)).toMatchObject({ id: other!.id });
  });
});

describe('credit', () => {
  test('rises with each acknowledgement, by what was acknowledged', async () => {
    using client = await StreamClient.connect(url);
    client.send({ type: 'open', space: 'docs' });
    const { credit: before, batchItemsMax } = await client.next('opened');
    expect(before.items).toBeGreaterThanOrEqual(batchItemsMax);
    client.batch(1, some(7));
    const { credit } = await client.next('ack');
    expect(credit.items).toBe(before.items + 7);
    expect(credit.bytes).toBeGreaterThan(before.bytes);
  });

  test('that is exceeded ends the session, and says by how much', async () => {
    using client = await StreamClient.connect(url);
    client.send({ type: 'open', space: 'docs' });
    const { credit } = await client.next('opened');
    client.batch(
      1,
      Array.from({ length: credit.items + 1 }, () => 0),
    );
    const { problem } = await client.next('problem');
    expect(problem).toMatchObject({
      code: 'CREDIT_EXCEEDED',
      // There is no message of its own for credit.
      hint: expect.stringMatching(/credit of opened and of each ack/) as unknown,
      details: { items: credit.items, bytes: credit.bytes },
    });
    expect(await client.whenClosed()).toEqual({ code: 4429, reason: 'CREDIT_EXCEEDED' });
  });
});

describe('a client that does it wrong', () => {
  test.each([
    ['not JSON', '{"type":', 'INVALID_JSON', 4400],
    ['an unknown type', '{"type":"hello"}', 'INVALID_BODY', 4400],
    ['a batch first', '{"type":"batch","seq":1,"observations":[]}', 'SESSION_STATE', 4409],
    ['a space with a bad name', '{"type":"open","space":"a.>"}', 'INVALID_SPACE_NAME', 4400],
    ['a space that is not there', '{"type":"open","space":"dosc"}', 'SPACE_NOT_FOUND', 4404],
  ])('%s instead of open: told and closed', async (_name, text, code, closeCode) => {
    using client = await StreamClient.connect(url);
    client.socket.send(text);
    const { problem } = await client.next('problem');
    expect(problem.code).toBe(code);
    if (code === 'SPACE_NOT_FOUND') expect(problem.hint).toBe('did you mean docs?');
    expect((await client.whenClosed()).code).toBe(closeCode);
  });

  test('garbage in an open session is told, and the session goes on', async () => {
    using client = await StreamClient.open(url, { space: 'docs' });
    client.socket.send('no JSON');
    expect((await client.next('problem')).problem.code).toBe('INVALID_JSON');
    client.socket.send(Buffer.from([0xc1, 0xff, 0x00]));
    expect((await client.next('problem')).problem.code).toBe('INVALID_MSGPACK');
    client.send({ type: 'open', space: 'docs' });
    expect((await client.next('problem')).problem.code).toBe('SESSION_STATE');
    client.send({ type: 'batch', seq: 1, observations: [], more: 1 });
    expect((await client.next('problem')).problem.pointer).toBe('/more');
    client.batch(1, some(1));
    await client.next('ack');
  });

  test('nothing but garbage is closed at last', async () => {
    using client = await StreamClient.open(url, { space: 'docs' });
    for (let i = 0; i < 100; i++) client.socket.send('{}');
    expect((await client.whenClosed()).code).toBe(4400);
  });

  test('a message beyond the limit closes with 1009', async () => {
    using client = await StreamClient.open(url, { space: 'docs' });
    client.socket.send('x'.repeat(MESSAGE_BYTES_MAX + 1));
    expect((await client.whenClosed()).code).toBe(1009);
  });

  test('bytes that are no WebSocket frames close the connection and nothing else', async () => {
    using other = await StreamClient.open(url, { space: 'docs' });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const key = createHash('md5').update('key').digest('base64');
    socket.write(
      `GET /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
    );
    let isClosed = false;
    socket.on('close', () => (isClosed = true)).on('error', () => undefined);
    socket.once('data', () => socket.write(Buffer.concat([Buffer.from([0xff]), randomBytes(64)])));
    await until('the connection is closed', () => isClosed);
    other.batch(1, some(1));
    await other.next('ack');
  });

  test('who does not ask for a WebSocket is told to', async () => {
    const response = await fetch(`${url}/v1/stream`);
    expect([response.status, response.headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(await response.json()).toMatchObject({ code: 'UPGRADE_REQUIRED' });
  });

  test('a page of another origin opens nothing, one of this gateway does', async () => {
    const statusFor = (origin: string) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, { origin });
        const told = (outcome: unknown) => {
          socket.terminate();
          resolve(outcome);
        };
        socket.on('unexpected-response', (_request, response) => told(response.statusCode));
        socket.on('open', () => told('open'));
        socket.on('error', () => undefined);
      });
    expect(await statusFor('https://elsewhere.example')).toBe(403);
    expect(await statusFor('null')).toBe(403);
    expect(await statusFor(url)).toBe('open');
  });

  test('more sessions than a gateway takes are refused before the upgrade', async () => {
    const clients: StreamClient[] = [];
    try {
      for (let i = 0; i < 12; i++) clients.push(await StreamClient.connect(url));
      const refused = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`);
      const status = await new Promise((resolve) => {
        refused.on('unexpected-response', (_request, response) => resolve(response.statusCode));
        refused.on('error', () => undefined);
      });
      refused.terminate();
      expect(status).toBe(429);
    } finally {
      for (const client of clients) client[Symbol.dispose]();
    }
    await until('there is room again', async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return !/engram_sessions\{[^}]*flowing[^}]*\} [1-9]/.test(text);
    });
  });
});

test('a session that is not used is closed, and one that is used is not', async () => {
  using idle = await StreamClient.open(url, { space: 'docs' });
  using used = await StreamClient.open(url, { space: 'docs' });
  let seq = 0;
  await until('the idle one is closed', async () => {
    used.batch(++seq, some(1));
    await used.next('ack', ({ upTo }) => upTo === seq);
    return idle.closed;
  });
  expect(idle.closed).toEqual({ code: 4408, reason: 'SESSION_IDLE' });
  expect((await idle.next('problem')).problem.retryable).toBe(true);
  expect(used.closed).toBeUndefined();
});

describe('recalls', () => {
  test('come in increments, all of them, best first', async () => {
    await running.client.createSpace('many', { dimension: 2, metric: 'ip' });
    const observations = Array.from({ length: 1_000 }, (_, i) => ({
      id: `m${i}`,
      embedding: [i + 1, 1],
    }));
    using client = await StreamClient.open(url, { space: 'many', ack: 'searchable' });
    client.batch(1, observations);
    await client.next('ack');
    client.send({ type: 'recall', recall: 'r1', embedding: [1, 0], k: 950, include: [] });
    const { end } = await client.next('end');
    expect(end).toMatchObject({ count: 950, degraded: false });
    const parts = client.received.flatMap((each) => (each.type === 'results' ? [each] : []));
    expect(parts.length).toBeGreaterThan(5);
    const ids = parts.flatMap(({ results }) => results.map((hit) => (hit as { id: string }).id));
    expect(ids).toEqual(Array.from({ length: 950 }, (_, i) => `m${999 - i}`));
  });

  test('are held back while paused, go on when resumed, and end when cancelled', async () => {
    using client = await StreamClient.open(url, { space: 'many' });
    const ask = (recall: string) => ({ type: 'recall', recall, embedding: [1, 0], k: 900 });
    client.send(ask('held'));
    client.send({ type: 'pause', recall: 'held' });
    client.send(ask('other'));
    await client.next('end', ({ recall }) => recall === 'other');
    expect(client.received.some((each) => each.type === 'results' && each.recall === 'held')).toBe(
      false,
    );
    client.send({ type: 'resume', recall: 'held' });
    await client.next('end', ({ recall }) => recall === 'held');
    client.send(ask('gone'));
    client.send({ type: 'pause', recall: 'gone' });
    client.send({ type: 'cancel', recall: 'gone' });
    expect((await client.next('problem')).problem.code).toBe('CURSOR_EXPIRED');
  });

  test('that are wrong are told by their field', async () => {
    using client = await StreamClient.open(url, { space: 'docs' });
    client.send({ type: 'recall', recall: 'a', embedding: [1, 2, 3], k: 0 });
    expect(await client.next('problem')).toMatchObject({
      recall: 'a',
      problem: { code: 'INVALID_BODY', pointer: '/k' },
    });
    client.send({ type: 'recall', recall: 'b', embedding: [1, 2], k: 1 });
    expect(await client.next('problem')).toMatchObject({
      recall: 'b',
      problem: { code: 'DIMENSION_MISMATCH', pointer: '/embedding' },
    });
  });
});
