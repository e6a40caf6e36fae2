import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { encodeFrame } from '@engram/codec';
import { parseSpaceId, partitionOf } from '@engram/model';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

// What a publisher without our gateway can do wrong, straight to the subjects.

let running: TestCluster;
let plain: NatsConnection;

beforeAll(async () => {
  running = await startTestCluster({ shards: 1 });
  plain = await connect({ servers: running.cluster.nats.url });
  await running.client.createSpace('docs', { dimension: 3 });
});

afterAll(async () => {
  await plain.close();
  await running[Symbol.asyncDispose]();
});

type Payload = string | Uint8Array;

async function publish(subject: string, payload: Payload, contentType?: string): Promise<number> {
  const head = headers();
  if (contentType !== undefined) head.set('Content-Type', contentType);
  const ack = await plain.jetstream().publish(subject, payload, { headers: head });
  return ack.seq;
}

/** The dead letter of an entry of the log. */
function deadLetter(sequence: number) {
  return until(`entry ${sequence} is a dead letter`, async () => {
    const manager = await plain.jetstreamManager();
    return manager.streams
      .getMessage('DLQ', { last_by_subj: `dlq.0.${sequence}` })
      .catch(() => undefined);
  });
}

const FRAME = 'application/vnd.engram.frame';

function frame(
  ids: string[],
  embeddings: number[],
  metadata: (string | undefined)[] = [],
): Uint8Array {
  return encodeFrame({
    dimension: embeddings.length / ids.length,
    ids,
    deletes: [],
    embeddings: Float32Array.from(embeddings),
    timestamps: [],
    metadata: ids.map((_, index) => metadata[index]),
  });
}

function nanBits(): Uint8Array {
  const bytes = frame(['nan-bits'], [1, 2, 3]);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(32 + 8, 0x7fc00001, true);
  return bytes;
}

test('JSON, a bare observation, NDJSON and a frame are all taken', async () => {
  await publish('observe.normal.docs', '{"observations":[{"id":"n-json","embedding":[1,2,3]}]}');
  await publish('observe.high.docs', '{"id":"n-bare","embedding":[1,2,3]}', 'application/json');
  await publish(
    'observe.low.docs',
    '{"id":"n-line","embedding":[1,2,3]}\n',
    'application/x-ndjson',
  );
  await publish('observe.low.docs', frame(['n-frame'], [1, 2, 3]), FRAME);
  await publish(
    'obs.' + partitionOf(parseSpaceId('docs'), 64) + '.low.docs',
    frame(['n-direct'], [1, 2, 3]),
  );
  for (const id of ['n-json', 'n-bare', 'n-line', 'n-frame', 'n-direct'])
    await until(`${id} is there`, () => running.client.get('docs', id).catch(() => undefined));
});

const REFUSED: [string, string, Payload, string | undefined, string][] = [
  ['nothing', 'docs', '', undefined, 'INVALID_JSON'],
  ['an open brace', 'docs', '{', undefined, 'INVALID_JSON'],
  ['bytes that are no UTF-8', 'docs', Uint8Array.of(0xff, 0xfe), undefined, 'INVALID_UTF8'],
  ['a list', 'docs', '[]', undefined, 'INVALID_BODY'],
  ['no observations', 'docs', '{"observations":[]}', undefined, 'EMPTY_BATCH'],
  ['a missing embedding', 'docs', '{"id":"a"}', undefined, 'INVALID_EMBEDDING'],
  ['a wrong dimension', 'docs', '{"id":"a","embedding":[1,2]}', undefined, 'DIMENSION_MISMATCH'],
  [
    'a prototype',
    'docs',
    '{"id":"a","embedding":[1,2,3],"__proto__":{"x":1}}',
    undefined,
    'INVALID_JSON',
  ],
  ['an unknown type', 'docs', 'x', 'text/csv', 'UNSUPPORTED_MEDIA_TYPE'],
  ['a frame cut short', 'docs', frame(['a'], [1, 2, 3]).subarray(0, 40), FRAME, 'INVALID_FRAME'],
  [
    'a frame of a later version',
    'docs',
    Uint8Array.from(frame(['a'], [1, 2, 3]), (byte, i) => (i === 4 ? 9 : byte)),
    FRAME,
    'INVALID_FRAME',
  ],
  [
    'a frame of another element type',
    'docs',
    Uint8Array.from(frame(['a'], [1, 2, 3]), (byte, i) => (i === 5 ? 3 : byte)),
    FRAME,
    'INVALID_FRAME',
  ],
  ['a frame of another dimension', 'docs', frame(['a'], [1, 2]), FRAME, 'DIMENSION_MISMATCH'],
  ['NaN bits in a frame', 'docs', nanBits(), FRAME, 'INVALID_EMBEDDING'],
  [
    'an infinite value in a frame',
    'docs',
    frame(['a'], [1, Infinity, 3]),
    FRAME,
    'INVALID_EMBEDDING',
  ],
  ['a norm that overflows', 'docs', frame(['a'], [3e38, 3e38, 3]), FRAME, 'INVALID_EMBEDDING'],
  ['a zero vector', 'docs', frame(['a'], [0, 0, 0]), FRAME, 'ZERO_EMBEDDING'],
  ['an empty id', 'docs', frame([''], [1, 2, 3]), FRAME, 'INVALID_ID'],
  ['a line break in an id', 'docs', frame(['a\r\nPUB x 1'], [1, 2, 3]), FRAME, 'INVALID_ID'],
  [
    'metadata that is no object',
    'docs',
    frame(['a'], [1, 2, 3], ['[1']),
    FRAME,
    'INVALID_METADATA',
  ],
  ['an unknown space', 'nowhere', '{"id":"a","embedding":[1,2,3]}', undefined, 'SPACE_NOT_FOUND'],
  [
    'a space that cannot be',
    'b@d',
    '{"id":"a","embedding":[1,2,3]}',
    undefined,
    'INVALID_SPACE_NAME',
  ],
  ['a space with a long name', 'x'.repeat(65), '{}', undefined, 'INVALID_SPACE_NAME'],
];

test.each(REFUSED)(
  '%s becomes a dead letter with its reason',
  async (_name, space, payload, type, reason) => {
    const sequence = await publish(`observe.normal.${space}`, payload, type);
    const letter = await deadLetter(sequence);
    expect(letter.header.get('Engram-Reason')).toBe(reason);
    expect(letter.header.get('Engram-Sequence')).toBe(String(sequence));
    const original = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
    expect([...letter.data]).toEqual([...original]);
  },
);

test('a message too large for its dead letter is refused by the log, one just below becomes one', async () => {
  const refused = plain
    .jetstream()
    .publish('observe.normal.docs', new Uint8Array(1024 * 1024 - 40));
  await expect(refused).rejects.toThrow();
  const sequence = await publish('observe.normal.docs', 'x'.repeat(1024 * 1024 - 17 * 1024));
  expect((await deadLetter(sequence)).header.get('Engram-Reason')).toBe('INVALID_JSON');
});

/** Arrays of ten that each hold the one below ten times, by references of msgpackr's own. */
function sharedReferences(depth: number): Uint8Array {
  const array = (level: number): number[] => {
    const mark = [0xd6, 0x69, 0, 0, 0, level];
    if (level === 0) return [...mark, 0x9a, ...Array.from({ length: 10 }, () => 1)];
    const again = [0xd6, 0x70, 0, 0, 0, level - 1];
    return [...mark, 0x9a, ...array(level - 1), ...Array.from({ length: 9 }, () => again).flat()];
  };
  const text = (value: string) => [0xa0 + value.length, ...Buffer.from(value)];
  return Uint8Array.from([
    0x83,
    ...text('id'),
    ...text('a'),
    ...text('embedding'),
    0x93,
    1,
    2,
    3,
    ...text('metadata'),
    0x81,
    ...text('x'),
    ...array(depth),
  ]);
}

test('MessagePack with shared references hangs neither gateway nor worker', async () => {
  const bytes = sharedReferences(13);
  const answer = await fetch(`${running.cluster.url}/v1/spaces/docs/observations`, {
    method: 'POST',
    headers: { 'content-type': 'application/msgpack' },
    body: bytes,
  });
  expect(answer.status).toBeLessThan(500);
  expect(answer.status).toBeGreaterThanOrEqual(400);
  const sequence = await publish('observe.normal.docs', bytes, 'application/msgpack');
  await deadLetter(sequence);
});

test('an entry under the wrong partition becomes a dead letter', async () => {
  const wrong = (partitionOf(parseSpaceId('docs'), 64) + 1) % 64;
  const sequence = await publish(`obs.${wrong}.normal.docs`, '{"id":"a","embedding":[1,2,3]}');
  expect((await deadLetter(sequence)).header.get('Engram-Reason')).toBe('WRONG_PARTITION');
});

test('a bad observation of a message takes no good one with it', async () => {
  const sequence = await publish(
    'observe.normal.docs',
    frame(['keep-1', 'bad', 'keep-2', 'keep-1'], [1, 2, 3, NaN, 2, 3, 3, 2, 1, 9, 9, 9]),
    FRAME,
  );
  const letter = await deadLetter(sequence);
  expect(JSON.parse(letter.header.get('Engram-Errors'))).toEqual([
    [1, 'INVALID_EMBEDDING'],
    [3, 'DUPLICATE_ID'],
  ]);
  expect([...(await running.client.get('docs', 'keep-1')).embedding]).toEqual([1, 2, 3]);
  expect([...(await running.client.get('docs', 'keep-2')).embedding]).toEqual([3, 2, 1]);
  const json = await publish(
    'observe.normal.docs',
    '{"observations":[{"id":"bad","embedding":[1]},{"id":"keep-3","embedding":[1,2,3]}]}',
  );
  expect(JSON.parse((await deadLetter(json)).header.get('Engram-Errors'))).toEqual([
    [0, 'DIMENSION_MISMATCH'],
  ]);
  expect((await running.client.get('docs', 'keep-3')).id).toBe('keep-3');
});

test('after all that nothing is blocked, and the dead letters are counted by reason', async () => {
  const { position } = await running.client.put('docs', [{ id: 'after', embedding: [1, 2, 3] }], {
    ack: 'searchable',
  });
  expect(position).toBeDefined();
  const { results } = await running.client.recall('docs', { embedding: [1, 2, 3], k: 1 });
  expect(results).toHaveLength(1);
  const metrics = await (await fetch(`${running.cluster.shards[0]!.url}/metrics`)).text();
  expect(metrics).toMatch(/engram_dead_letters_total\{reason="INVALID_FRAME",[^}]*\} 3/);
});

test('a restarted shard meets the same bad entries and writes no dead letter twice', async () => {
  const manager = await plain.jetstreamManager();
  const before = (await manager.streams.info('DLQ')).state;
  const [shard] = running.cluster.shards;
  shard!.signal('SIGKILL');
  await shard!.exited;
  await until('its end is noticed', () => !shard!.running);
  await shard!.start();
  await running.whenSettled();
  expect((await running.client.get('docs', 'keep-1')).id).toBe('keep-1');
  const after = (await manager.streams.info('DLQ')).state;
  expect([after.messages, after.last_seq]).toEqual([before.messages, before.last_seq]);
});

test('symptom: one entry whose headers had a bare line break cost its shard the connection', async () => {
  const { client } = running;
  const before = (await running.client.space('docs')).count;
  const payload = JSON.stringify({ id: 'beside-bad-headers', embedding: [1, 2, 3] });
  // As no client library would write it, and the server lets it in.
  for (const value of ['a\rb', 'a\nb', '\u0000', ''])
    await publishRaw('observe.normal.docs', `NATS/1.0\r\nContent-Type: ${value}\r\n\r\n`, payload);
  await client.put('docs', [{ id: 'after-bad-headers', embedding: [1, 2, 3] }], {
    ack: 'searchable',
  });
  const { count } = await until('both are there', async () => {
    const space = await client.space('docs');
    return space.count === before + 2 && space;
  });
  expect(count).toBe(before + 2);
  expect(await client.verify('docs')).toMatchObject({ ok: true, isExact: true });
});

async function publishRaw(subject: string, head: string, payload: string): Promise<void> {
  const { hostname, port } = new URL(running.cluster.nats.url);
  const socket = connectSocket(Number(port), hostname);
  await once(socket, 'data'); // its INFO
  const sizes = `${Buffer.byteLength(head)} ${Buffer.byteLength(head + payload)}`;
  socket.write('CONNECT {"headers":true,"verbose":false}\r\n');
  socket.write(`HPUB ${subject} ${sizes}\r\n${head}${payload}\r\nPING\r\n`);
  await once(socket, 'data'); // PONG: it was taken
  socket.destroy();
}
