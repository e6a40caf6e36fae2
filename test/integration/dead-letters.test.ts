import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeadLetter } from '@engram/client';
import { encodeFrame } from '@engram/codec';
import { parseSpaceId, partitionOf } from '@engram/model';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { tempDir } from '../support/temp-dir.ts';
import { runEngram } from '../support/engram-command.ts';
import { until } from '../support/until.ts';

// What operators do with dead letters, over REST, by the client and on the command line.

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

async function publish(
  subject: string,
  payload: string | Uint8Array,
  contentType?: string,
): Promise<string> {
  const head = headers();
  if (contentType !== undefined) head.set('Content-Type', contentType);
  const { seq } = await plain.jetstream().publish(subject, payload, { headers: head });
  return `0-${seq}`;
}

const letters = () => running.client.deadLetters;

function whenThere(id: string): Promise<DeadLetter> {
  return until(`${id} is a dead letter`, () =>
    letters()
      .get(id)
      .catch(() => undefined),
  );
}

/** In the order of the log: lanes and spaces set aside at their own pace. */
async function collected(filter: { reason?: string; space?: string } = {}): Promise<string[]> {
  const found: DeadLetter[] = [];
  for await (const letter of letters().list(filter)) found.push(letter);
  return found.sort((left, right) => left.sequence - right.sequence).map(({ id }) => id);
}

interface Answer {
  readonly status: number;
  readonly type: string | undefined;
  readonly headers: Headers;
  readonly body: {
    readonly code?: string;
    readonly deadLetters?: readonly { readonly id: string }[];
    readonly nextCursor?: string;
    readonly redriven?: number;
    readonly refused?: readonly { readonly id: string; readonly code: string }[];
    readonly purged?: number;
    readonly paths?: Readonly<Record<string, unknown>>;
  };
}

async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(running.cluster.url + path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return {
    status: response.status,
    type: response.headers.get('content-type')?.split(';')[0],
    headers: response.headers,
    body: (await response.json()) as Answer['body'],
  };
}

test('a bad publish is listed and shown with its reason, its place and its payload byte for byte', async () => {
  const payload = Uint8Array.of(0x00, 0xff, 0x0d, 0x0a, 0x7b, 0x1b);
  const id = await publish('observe.high.docs', payload, 'application/json');
  const letter = await whenThere(id);
  expect(letter).toMatchObject({
    id,
    reason: 'INVALID_UTF8',
    space: 'docs',
    lane: 'high',
    partition: partitionOf(parseSpaceId('docs'), 64),
    contentType: 'application/json',
    bytes: payload.length,
    errors: [{ index: 0, code: 'INVALID_UTF8' }],
    errorCount: 1,
  });
  expect(`0-${letter.sequence}`).toBe(id);
  expect(Date.parse(letter.writtenAt)).not.toBeNaN();
  expect([...(await letters().payload(id))]).toEqual([...payload]);
  expect(await collected({ reason: 'INVALID_UTF8' })).toEqual([id]);
  const raw = await fetch(`${running.cluster.url}/v1/dead-letters/${id}/payload`);
  expect(raw.headers.get('content-type')).toBe('application/json');
  expect(raw.headers.get('content-security-policy')).toBe('sandbox');
  expect(raw.headers.get('content-disposition')).toContain('attachment');
});

async function paged(order: 'newest' | 'oldest'): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ order, limit: '2', ...(cursor && { cursor }) });
    const { body } = await ask('GET', `/v1/dead-letters?${query.toString()}`);
    expect(body.deadLetters!.length).toBeLessThanOrEqual(2);
    found.push(...body.deadLetters!.map(({ id }) => id));
    cursor = body.nextCursor;
  } while (cursor !== undefined);
  expect(new Set(found).size).toBe(found.length);
  return found;
}

test('pages bring every dead letter once in either order, also with a filter', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 7; i++)
    ids.push(await publish(`observe.normal.${i % 2 === 0 ? 'docs' : 'absent'}`, `{"page":${i}}`));
  for (const id of ids) await whenThere(id);
  const [newest, oldest] = [await paged('newest'), await paged('oldest')];
  expect(oldest).toEqual(newest.reverse());
  expect([...oldest].sort()).toEqual((await collected()).sort());
  expect(oldest).toEqual(expect.arrayContaining(ids));
  const absent = await collected({ space: 'absent', reason: 'SPACE_NOT_FOUND' });
  expect(absent).toEqual(ids.filter((_, i) => i % 2 === 1));
});

test('what came before its space is found by recall once it is redriven', async () => {
  const early = [
    await publish('observe.normal.late', '{"id":"n1","embedding":[1,0]}'),
    await publish(
      'observe.low.late',
      encodeFrame({
        dimension: 2,
        ids: ['n2'],
        deletes: [],
        embeddings: Float32Array.of(0, 1),
        timestamps: [],
        metadata: ['{"from":"a frame"}'],
      }),
      'application/vnd.engram.frame',
    ),
  ];
  for (const id of early) await whenThere(id);
  const refused = await letters()
    .redrive({ ids: [early[0]!] })
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'SPACE_NOT_FOUND' });
  const both = await letters().redrive({ ids: early });
  expect([both.redriven, both.refused.map(({ code }) => code)]).toEqual([
    0,
    ['SPACE_NOT_FOUND', 'SPACE_NOT_FOUND'],
  ]);
  expect(await collected({ space: 'late' })).toEqual(early);
  await running.client.createSpace('late', { dimension: 2 });
  expect(await letters().redrive({ space: 'late' })).toEqual({ redriven: 2, refused: [] });
  await until('both are there', async () => (await running.client.space('late')).count === 2);
  const { results } = await running.client.recall('late', {
    embedding: [0, 1],
    k: 2,
    include: ['metadata'],
  });
  expect(results.map(({ id }) => id)).toEqual(['n2', 'n1']);
  expect(results[0]!.metadata).toEqual({ from: 'a frame' });
  expect(await collected({ space: 'late' })).toEqual([]);
  await expect(letters().redrive({ ids: [early[0]!] })).rejects.toMatchObject({
    code: 'DEAD_LETTER_NOT_FOUND',
  });
});

test('two who redrive one at the same time put it into the log once', async () => {
  const id = await publish('observe.normal.twice', '{"id":"t1","embedding":[1,0]}');
  await whenThere(id);
  await running.client.createSpace('twice', { dimension: 2 });
  const jsm = await plain.jetstreamManager();
  const subject = `obs.${partitionOf(parseSpaceId('twice'), 64)}.normal.twice`;
  const results = await Promise.allSettled([1, 2, 3].map(() => letters().redrive({ ids: [id] })));
  const counts = results.map((each) => (each.status === 'fulfilled' ? each.value.redriven : 0));
  expect(counts.sort()).toEqual([0, 0, 1]);
  const { state } = await jsm.streams.info('OBS-0', { subjects_filter: subject });
  expect(state.subjects).toEqual({ [subject]: 2 });
});

test('what is still bad becomes a new dead letter with the same payload', async () => {
  const payload = '{"observations":[{"id":"w1","embedding":[1]},{"id":"w2","embedding":[1,2,3]}]}';
  const id = await publish('observe.normal.docs', payload);
  await whenThere(id);
  await running.client.delete('docs', 'w2', { ack: 'searchable' });
  expect(await letters().redrive({ ids: [id] })).toEqual({ redriven: 1, refused: [] });
  const again = await until('it is set aside again', async () => {
    const [found] = await collected({ reason: 'DIMENSION_MISMATCH' });
    return found !== id && found;
  });
  expect(new TextDecoder().decode(await letters().payload(again))).toBe(payload);
  // The good one of it is written anew.
  expect((await running.client.get('docs', 'w2')).id).toBe('w2');
  expect(await letters().purge({ ids: [again, again, '0-999999999'] })).toEqual({ purged: 1 });
});

test('what can never be applied as it is, is refused and stays', async () => {
  const wrong = (partitionOf(parseSpaceId('docs'), 64) + 1) % 64;
  const elsewhere = await publish(`obs.${wrong}.normal.docs`, '{"id":"a","embedding":[1,2,3]}');
  const nameless = await publish('observe.normal.b@d', '{"id":"a","embedding":[1,2,3]}');
  const cut = headers();
  cut.set('Engram-Reason', 'INVALID_JSON');
  cut.set('Engram-Subject', `obs.${wrong - 1}.normal.docs`);
  cut.set('Engram-Cut-To', '3');
  await plain.jetstream().publish('dlq.0.999000001', 'abc', { headers: cut });
  for (const id of [elsewhere, nameless]) await whenThere(id);
  const ids = [elsewhere, nameless, '0-999000001'];
  const { status, body } = await ask('POST', '/v1/dead-letters/redrive', { ids });
  expect([status, body.redriven]).toEqual([207, 0]);
  expect(body.refused!.map(({ id, code }) => [id, code])).toEqual([
    [elsewhere, 'WRONG_PARTITION'],
    [nameless, 'INVALID_SPACE_NAME'],
    ['0-999000001', 'DEAD_LETTER_CUT'],
  ]);
  const one = await ask('POST', '/v1/dead-letters/redrive', { ids: ['0-999000001'] });
  expect([one.status, one.body.code, one.type]).toEqual([
    409,
    'DEAD_LETTER_CUT',
    'application/problem+json',
  ]);
  for (const id of ids) expect((await letters().get(id)).id).toBe(id);
});

const HOSTILE_IDS = [
  '0',
  '0-',
  '-1',
  '0-01',
  '0-1.5',
  '0-*',
  '>',
  '0-1 ',
  '1e3-2',
  '0-9'.repeat(40),
];

test.each(HOSTILE_IDS)(
  'the id %s is refused or names nothing, and reaches no subject',
  async (id) => {
    const path = `/v1/dead-letters/${encodeURIComponent(id)}`;
    const shown = await ask('GET', path);
    expect([400, 404]).toContain(shown.status);
    expect(shown.type).toBe('application/problem+json');
    expect((await ask('DELETE', path)).status).toBe(shown.status);
    expect((await ask('POST', '/v1/dead-letters/redrive', { ids: [id] })).status).toBe(400);
  },
);

test.each([
  ['GET', '?limit=0'],
  ['GET', '?limit=1001'],
  ['GET', '?cursor=abc'],
  ['GET', '?cursor=1-2-3'],
  ['GET', '?reason=NO_SUCH_CODE'],
  ['GET', '?reason=__proto__'],
  ['GET', '?order=sideways'],
  ['GET', '?space='],
  ['GET', '?unknown=1'],
  ['DELETE', ''],
  ['DELETE', '?all=false'],
  ['DELETE', '?all=yes'],
  ['DELETE', '?all=true&space=docs'],
  ['DELETE', '?reason=INVALID_JSO'],
  ['DELETE', '?sapce=docs'],
])('%s /v1/dead-letters%s is refused as a problem', async (method, query) => {
  const { status, type, body } = await ask(method, `/v1/dead-letters${query}`);
  expect([status, type]).toEqual([400, 'application/problem+json']);
  expect(body.code).toBe('INVALID_PARAMETER');
});

test.each([
  [{}],
  [{ all: false }],
  [{ ids: [] }],
  [{ ids: ['0-1'], all: true }],
  [{ reason: 'INVALID_JSON', all: true }],
  [{ ids: '0-1' }],
  [{ ids: [1] }],
  [{ every: true }],
])('redriving by %j is refused as a problem', async (body) => {
  const answer = await ask('POST', '/v1/dead-letters/redrive', body);
  expect([answer.status, answer.type]).toEqual([400, 'application/problem+json']);
});

test('a cursor from anybody costs no more than the places that there are', async () => {
  const { status, body } = await ask('GET', '/v1/dead-letters?cursor=0-9999999999999999');
  expect(status).toBe(400); // no safe integer
  expect(body.code).toBe('INVALID_PARAMETER');
  const wide = await ask('GET', '/v1/dead-letters?limit=1000&cursor=1-900000000000000');
  expect(wide.body.deadLetters!.map(({ id }) => id).sort()).toEqual((await collected()).sort());
  expect((await ask('GET', '/v1/dead-letters?cursor=5-2')).body.deadLetters).toEqual([]);
});

test('the routes are in the OpenAPI document', async () => {
  const { paths } = (await ask('GET', '/openapi.json')).body;
  expect(Object.keys(paths!)).toEqual(
    expect.arrayContaining([
      '/v1/dead-letters',
      '/v1/dead-letters/{id}',
      '/v1/dead-letters/{id}/payload',
      '/v1/dead-letters/redrive',
      '/v1/spaces/{space}/verify',
    ]),
  );
});

const engram = (...args: string[]) => runEngram(running.cluster.url, args);

test('the command line lists, shows, saves and purges', async () => {
  await using folder = await tempDir();
  const bytes = encodeFrame({
    dimension: 2,
    ids: ['f1', 'f2\u001b[2J'],
    deletes: ['f3'],
    embeddings: Float32Array.of(1, 2, 3, 4),
    timestamps: [],
    metadata: [undefined, undefined],
  });
  const id = await publish('observe.low.docs', bytes, 'application/vnd.engram.frame');
  await whenThere(id);
  const listed = await engram('dlq', 'list', '--reason', 'DIMENSION_MISMATCH');
  expect([listed.code, listed.out.includes(id)]).toEqual([0, true]);
  const file = join(folder.path, 'entry.bin');
  const shown = await engram('dlq', 'show', id, '--payload', file);
  expect(shown.code, shown.err).toBe(0);
  expect(shown.out).toMatch(/observations +│ 2[^]*deletes +│ 1[^]*dimension +│ 2[^]*ids +│ f1, f2/);
  expect(shown.out).not.toContain('\u001b[2J');
  expect([...(await readFile(file))]).toEqual([...bytes]);
  const json = JSON.parse((await engram('dlq', 'show', id, '--json')).out) as object;
  expect(json).toMatchObject({ id, payload: { kind: 'frame', observations: 2, dimensions: [2] } });
  expect((await engram('dlq', 'purge')).code).toBe(2);
  expect((await engram('dlq', 'redrive', id, '--all')).code).toBe(2);
  const absent = await engram('dlq', 'redrive', '--space', 'absent', '--json');
  expect(absent.code).toBe(3);
  expect(JSON.parse(absent.out)).toMatchObject({ redriven: 0 });
  expect(await engram('dlq', 'purge', id)).toMatchObject({
    code: 0,
    out: '✔ 1 dead letter purged\n',
  });
  expect((await engram('dlq', 'show', id)).err).toContain('DEAD_LETTER_NOT_FOUND');
  expect(await engram('dlq', 'purge', id)).toMatchObject({
    code: 1,
    out: '',
    err: 'There are no such dead letters.\n',
  });
});

test('all are purged when that is said, and a shard that reads the log again brings none back', async () => {
  const count = (await collected()).length;
  expect(count).toBeGreaterThan(5);
  const ofSpace = await collected({ space: 'absent' });
  const some = await ask('DELETE', '/v1/dead-letters?space=absent');
  expect(some.body).toEqual({ purged: ofSpace.length });
  const { status, body } = await ask('DELETE', '/v1/dead-letters?all=true');
  expect([status, body]).toEqual([200, { purged: count - ofSpace.length }]);
  expect(await collected()).toEqual([]);
  const [shard] = running.cluster.shards;
  shard!.signal('SIGKILL');
  await shard!.exited;
  await until('its end is noticed', () => !shard!.running);
  await shard!.start();
  await running.whenSettled();
  expect(await collected()).toEqual([]);
  const fresh = await publish('observe.normal.docs', '{');
  await whenThere(fresh);
  expect(await collected()).toEqual([fresh]);
});
