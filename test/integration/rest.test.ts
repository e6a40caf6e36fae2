import { encodeFrame } from '@engram/codec';
import { gzipSync } from 'node:zlib';
import { connect } from 'node:net';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

let running: TestCluster;
let url: string;

beforeAll(async () => {
  running = await startTestCluster({
    shards: 1,
    env: { ENGRAM_BODY_BYTES_MAX: String(1024 * 1024) },
  });
  ({ url } = running.cluster);
  await put('/v1/spaces/docs', { dimension: 3 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

/** Whatever the routes answer: a test reads the members that its answer has. */
interface Body {
  readonly code: string;
  readonly status: number;
  readonly retryable: boolean;
  readonly detail: string;
  readonly details: { readonly near: string[] };
  readonly errors: readonly { index: number; line: number; code: string; pointer: string }[];
  readonly accepted: number;
  readonly rejected: number;
  readonly position: string;
  readonly ack: string;
  readonly dimension: number;
  readonly metric: string;
  readonly spaces: readonly { space: string }[];
  readonly nextCursor: string | undefined;
  readonly embedding: readonly number[];
  readonly results: readonly {
    readonly space: string;
    readonly id: string;
    readonly score: number;
    readonly metadata: unknown;
    readonly timestamp: number;
  }[];
  readonly degraded: boolean;
  readonly reasons: readonly string[];
  readonly shards: { readonly answered: number };
  readonly openapi: string;
  readonly paths: Readonly<Record<string, unknown>>;
  readonly members: readonly unknown[];
  readonly partitions: readonly unknown[];
  readonly replication: number;
  readonly moves: readonly unknown[];
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

async function send(
  method: string,
  path: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === '' ? undefined : JSON.parse(text)) as Body,
  };
}

const JSON_TYPE = { 'content-type': 'application/json' };
const put = (path: string, body: unknown) => send('PUT', path, JSON.stringify(body), JSON_TYPE);
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send('POST', path, typeof body === 'string' ? body : JSON.stringify(body), {
    ...JSON_TYPE,
    ...headers,
  });
const get = (path: string) => send('GET', path);
const write = (observations: unknown, query = '?ack=searchable') =>
  post(`/v1/spaces/docs/observations${query}`, { observations });
const base64 = (...values: number[]) =>
  Buffer.from(Float32Array.from(values).buffer).toString('base64');

describe('spaces', () => {
  test('a space is made once, is the same afterwards, and differs loudly', async () => {
    expect((await put('/v1/spaces/made', { dimension: 4, metric: 'l2' })).status).toBe(201);
    const again = await put('/v1/spaces/made', { dimension: 4, metric: 'l2' });
    expect([again.status, again.body.dimension, again.body.metric]).toEqual([200, 4, 'l2']);
    const other = await put('/v1/spaces/made', { dimension: 5, metric: 'l2' });
    expect([other.status, other.body.code, other.body.errors[0]?.pointer]).toEqual([
      409,
      'SPACE_DIFFERS',
      '/dimension',
    ]);
  });

  test('the list has pages', async () => {
    for (const name of ['page-a', 'page-b', 'page-c'])
      await put(`/v1/spaces/${name}`, { dimension: 2 });
    const names: string[] = [];
    for (let cursor: string | undefined = ''; cursor !== undefined;) {
      const { body } = await get(`/v1/spaces?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      expect(body.spaces.length).toBeLessThanOrEqual(2);
      names.push(...body.spaces.map(({ space }) => space));
      cursor = body.nextCursor;
    }
    expect(names).toEqual([...names].sort());
    expect(names).toEqual(expect.arrayContaining(['page-a', 'page-b', 'page-c']));
  });

  test('an unknown space is answered with near names', async () => {
    const { status, body } = await get('/v1/spaces/dosc');
    expect([status, body.code, body.details.near]).toEqual([404, 'SPACE_NOT_FOUND', ['docs']]);
  });

  test('a deleted space is gone with its data, also when it is made again', async () => {
    await put('/v1/spaces/again', { dimension: 2 });
    const item = { observations: [{ id: 'old', embedding: [1, 0] }] };
    expect((await post('/v1/spaces/again/observations?ack=searchable', item)).status).toBe(200);
    expect((await send('DELETE', '/v1/spaces/again')).status).toBe(204);
    expect((await get('/v1/spaces/again')).status).toBe(404);
    expect((await send('DELETE', '/v1/spaces/again')).status).toBe(404);
    await put('/v1/spaces/again', { dimension: 2 });
    const next = { observations: [{ id: 'new', embedding: [0, 1] }] };
    expect((await post('/v1/spaces/again/observations?ack=searchable', next)).status).toBe(200);
    const { body } = await post('/v1/spaces/again/recall', { embedding: [1, 0], k: 10 });
    expect(body.results.map(({ id }) => id)).toEqual(['new']);
  });

  test.each([
    [{}, '/dimension'],
    [{ dimension: 0 }, '/dimension'],
    [{ dimension: '3' }, '/dimension'],
    [{ dimension: 1e6 }, '/dimension'],
    [{ dimension: 3.5 }, '/dimension'],
    [{ dimension: 3, metric: 'manhattan' }, '/metric'],
    [{ dimension: 3, engine: 'faiss' }, '/engine'],
    [{ dimension: 3, quantization: 'i4' }, '/quantization'],
    [{ dimension: 3, engine: 'hnswlib', quantization: 'i8' }, '/quantization'],
    [{ dimension: 3, m: 1 }, '/m'],
    [{ dimension: 3, efConstruction: 1e9 }, '/efConstruction'],
    [{ dimension: 3, shards: 2 }, '/shards'],
  ])('the options %j are refused at %s', async (options, pointer) => {
    const { status, body, headers } = await put('/v1/spaces/refused', options);
    expect(status).toBe(400);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(body.errors[0]?.pointer).toBe(pointer);
  });

  test.each([
    'a.b',
    '*',
    '%3E',
    'a%20b',
    'a%0D%0APUB%20evil.x%202%0D%0Ahi',
    '$JS.API.STREAM.DELETE.OBS-0',
    '%F0%9F%98%80',
    '@x',
    '..%2f..%2fetc%2fpasswd',
    '%7B%7Bpartition(1)%7D%7D',
    'a'.repeat(65),
    '%00',
    '%2e%2e%2f',
  ])('the space name %s is refused', async (name) => {
    const { status, body } = await put(`/v1/spaces/${name}`, { dimension: 3 });
    expect([status, body.code]).toEqual([400, 'INVALID_SPACE_NAME']);
    expect(JSON.stringify(body)).not.toContain('passwd');
  });
});

describe('writing and reading', () => {
  test('an observation is read back as it was written', async () => {
    const metadata = { lang: 'en', nested: { list: [1, null, 'x'] } };
    const item = { id: 'a/b ü😀', embedding: [1, 2, 3.5], metadata, timestamp: 1_700_000_000_000 };
    const written = await post('/v1/spaces/docs/observations?ack=searchable', item);
    expect([written.status, written.body.accepted, written.body.ack]).toEqual([
      200,
      1,
      'searchable',
    ]);
    const read = await get(`/v1/spaces/docs/observations/${encodeURIComponent(item.id)}`);
    expect(read.body).toMatchObject(item);
  });

  test('logged answers 202, and the position makes the write readable', async () => {
    const { status, body } = await write([{ id: 'ryw', embedding: [1, 1, 1] }], '');
    expect([status, body.accepted, body.rejected, body.ack]).toEqual([202, 1, 0, 'logged']);
    const read = await get(
      `/v1/spaces/docs/observations/ryw?minPosition=${body.position}&waitMs=10000`,
    );
    expect(read.status).toBe(200);
    const recalled = await post('/v1/spaces/docs/recall', {
      embedding: [1, 1, 1],
      k: 1,
      minPosition: body.position,
      waitMs: 10_000,
    });
    expect(recalled.body).toMatchObject({ degraded: false, shards: { asked: 1, answered: 1 } });
  });

  test('a position that is not reached in time is an error that says how far it is', async () => {
    const { body } = await write([{ id: 'far', embedding: [1, 1, 1] }]);
    const far = body.position.replace(/\.(\d+)\.(\d+)$/, '.999999999.$2');
    const answer = await post('/v1/spaces/docs/recall', {
      embedding: [1, 1, 1],
      k: 1,
      minPosition: far,
      waitMs: 50,
    });
    expect([answer.status, answer.body.code]).toEqual([503, 'POSITION_NOT_REACHED']);
    expect(answer.headers.get('retry-after')).not.toBeNull();
  });

  test('indexed waits for the graph', async () => {
    const { status, body } = await write([{ id: 'graph', embedding: [3, 1, 1] }], '?ack=indexed');
    expect([status, body.ack]).toEqual([200, 'indexed']);
  });

  test('the last write of an id wins, and a delete removes it', async () => {
    await write([{ id: 'lww', embedding: [1, 0, 0] }]);
    await write([{ id: 'lww', embedding: [0, 1, 0] }]);
    expect((await get('/v1/spaces/docs/observations/lww')).body.embedding).toEqual([0, 1, 0]);
    const gone = await send('DELETE', '/v1/spaces/docs/observations/lww?ack=searchable');
    expect([gone.status, gone.body.ack]).toEqual([200, 'searchable']);
    expect((await get('/v1/spaces/docs/observations/lww')).body.code).toBe('OBSERVATION_NOT_FOUND');
    const { body } = await post('/v1/spaces/docs/recall', { embedding: [0, 1, 0], k: 1000 });
    expect(body.results.map(({ id }) => id)).not.toContain('lww');
    expect((await send('DELETE', '/v1/spaces/docs/observations/never-there')).status).toBe(202);
  });

  test('the same batch goes in as JSON, base64, NDJSON, MessagePack, gzip and frame', async () => {
    const { encodeWire } = await import('@engram/codec');
    const path = '/v1/spaces/docs/observations?ack=searchable';
    const embedding = [0.5, -0.25, 2];
    const bytes = new Uint8Array(Float32Array.from(embedding).buffer);
    const json = (id: string) => JSON.stringify({ observations: [{ id, embedding }] });
    const frame = encodeFrame({
      dimension: 3,
      ids: ['f-frame'],
      deletes: [],
      embeddings: Float32Array.from(embedding),
      timestamps: [NaN],
      metadata: [undefined],
    });
    const sent = await Promise.all([
      send('POST', path, json('f-json'), JSON_TYPE),
      send(
        'POST',
        path,
        JSON.stringify({ id: 'f-base64', embedding: base64(...embedding) }),
        JSON_TYPE,
      ),
      send(
        'POST',
        path,
        `{"id":"f-nd1","embedding":[0.5,-0.25,2]}\r\n\n{"id":"f-nd2","embedding":"${base64(...embedding)}"}`,
        { 'content-type': 'application/x-ndjson' },
      ),
      send('POST', path, encodeWire({ observations: [{ id: 'f-msgpack', embedding: bytes }] }), {
        'content-type': 'application/msgpack',
      }),
      send('POST', path, gzipSync(json('f-gzip')), { ...JSON_TYPE, 'content-encoding': 'gzip' }),
      send('POST', path, frame, { 'content-type': 'application/vnd.engram.frame' }),
    ]);
    expect(sent.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    for (const id of ['f-json', 'f-base64', 'f-nd1', 'f-nd2', 'f-msgpack', 'f-gzip', 'f-frame'])
      expect((await get(`/v1/spaces/docs/observations/${id}`)).body.embedding, id).toEqual(
        embedding,
      );
  });

  test('bad observations are told one by one and take no good one with them', async () => {
    const { status, body, headers } = await write([
      { id: 'good-1', embedding: [1, 2, 3] },
      { id: 'short', embedding: [1, 2] },
      { id: 'nan', embedding: [1, null, 3] },
      { id: 'good-1', embedding: [9, 9, 9] },
      { id: '', embedding: [1, 2, 3] },
      { id: 'lane', embedding: [1, 2, 3], lane: 'urgent' },
      { id: 'deep', embedding: [1, 2, 3], metadata: [] },
      { id: 'time', embedding: [1, 2, 3], timestamp: 'yesterday' },
      { id: 'field', vector: [1, 2, 3] },
      { id: 'zero', embedding: [0, 0, 0] },
      { id: 'good-2', embedding: [3, 2, 1], lane: 'low' },
      7,
    ]);
    expect(status).toBe(207);
    expect([headers.get('engram-accepted'), headers.get('engram-rejected')]).toEqual(['2', '10']);
    expect([body.accepted, body.rejected]).toEqual([2, 10]);
    expect(body.errors.map(({ index, code }) => [index, code])).toEqual([
      [1, 'DIMENSION_MISMATCH'],
      [2, 'INVALID_EMBEDDING'],
      [3, 'DUPLICATE_ID'],
      [4, 'INVALID_ID'],
      [5, 'INVALID_LANE'],
      [6, 'INVALID_METADATA'],
      [7, 'INVALID_TIMESTAMP'],
      [8, 'INVALID_BODY'],
      [9, 'ZERO_EMBEDDING'],
      [11, 'INVALID_BODY'],
    ]);
    expect(body.errors[0]?.pointer).toBe('/observations/1/embedding');
    expect((await get('/v1/spaces/docs/observations/good-1')).body.embedding).toEqual([1, 2, 3]);
    expect((await get('/v1/spaces/docs/observations/good-2')).status).toBe(200);
    expect((await get('/v1/spaces/docs/observations/zero')).status).toBe(404);
  });

  test('a wrong dimension says space, expected, got, first index and id', async () => {
    const { status, body } = await write([{ id: 'bad-dim', embedding: [1, 2, 3, 4] }]);
    expect([status, body.code]).toEqual([422, 'DIMENSION_MISMATCH']);
    expect(body.detail).toBe(
      'space docs: 1 of 1 observations refused, first at index 0 (id "bad-dim"): the embedding is refused: it has 4 values, the space takes 3',
    );
  });

  test('atomic stores all or nothing', async () => {
    const { status, body } = await write(
      [
        { id: 'atomic', embedding: [1, 2, 3] },
        { id: 'bad', embedding: [] },
      ],
      '?atomic=true&ack=searchable',
    );
    expect([status, body.accepted]).toEqual([422, 0]);
    expect((await get('/v1/spaces/docs/observations/atomic')).status).toBe(404);
  });

  test('a repeated Idempotency-Key is answered as the first time and stores nothing more', async () => {
    const headers = { 'idempotency-key': 'key-1' };
    const body = {
      observations: [
        { id: 'idem', embedding: [1, 2, 3] },
        { id: 'bad', embedding: [1] },
      ],
    };
    const first = await post('/v1/spaces/docs/observations', body, headers);
    const second = await post('/v1/spaces/docs/observations', body, headers);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect([second.status, second.body]).toEqual([first.status, first.body]);
    const reused = await post(
      '/v1/spaces/docs/observations',
      { id: 'other', embedding: [1, 2, 3] },
      headers,
    );
    expect([reused.status, reused.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED']);
  });

  test('under one Engram-Request-Id the log takes a request once, and another one beside it', async () => {
    const headers = { 'engram-request-id': 'request-1' };
    const body = { id: 'asked-once', embedding: [1, 2, 3] };
    const path = '/v1/spaces/docs/observations';
    const first = await post(path, body, headers);
    const second = await post(path, body, headers);
    expect([second.status, second.body]).toEqual([first.status, first.body]);
    const others = await Promise.all([
      post(path, { ...body, embedding: [3, 2, 1] }, headers),
      post(`${path}?lane=high`, body, headers),
      post(path, body, { 'engram-request-id': 'request-2' }),
      post(path, body),
    ]);
    const positions = [first, ...others].map((each) => each.body.position);
    expect(new Set(positions).size).toBe(positions.length);
    // A delete that comes again does not take away what was put meanwhile.
    const remove = () => send('DELETE', `${path}/asked-once?ack=searchable`, undefined, headers);
    expect((await remove()).status).toBe(200);
    await post(`${path}?ack=searchable`, body);
    expect((await remove()).status).toBe(200);
    expect((await get(`${path}/asked-once`)).status).toBe(200);
    const { status, body: problem } = await post(path, body, { 'engram-request-id': 'a b' });
    expect([status, problem.code]).toEqual([400, 'INVALID_PARAMETER']);
    expect(problem.detail).toContain('engram-request-id');
  });

  test('a bucket of Idempotency-Keys that was deleted is made again', async () => {
    const nats = await connectNats({ servers: running.cluster.nats.url });
    await (await nats.jetstreamManager()).streams.delete('KV_engram-idempotency');
    await nats.close();
    const headers = { 'idempotency-key': 'key-2' };
    const body = { id: 'idem', embedding: [1, 2, 3] };
    const answers = [1, 2].map(() => post('/v1/spaces/docs/observations', body, headers));
    for (const { status } of await Promise.all(answers)) expect(status).toBe(202);
    const third = await post('/v1/spaces/docs/observations', body, headers);
    expect(third.headers.get('idempotency-replayed')).toBe('true');
  });
});

describe('what a tester broke once', () => {
  test('a key used before a space was deleted is new in the space made again', async () => {
    const body = { id: 'again', embedding: [1, 2] };
    const path = '/v1/spaces/reborn/observations?ack=searchable';
    const headers = { 'idempotency-key': 'import-1' };
    await put('/v1/spaces/reborn', { dimension: 2 });
    expect((await post(path, body, headers)).status).toBe(200);
    await send('DELETE', '/v1/spaces/reborn');
    await put('/v1/spaces/reborn', { dimension: 2 });
    const second = await post(path, body, headers);
    expect([second.status, second.headers.get('idempotency-replayed')]).toEqual([200, null]);
    expect((await get('/v1/spaces/reborn/observations/again')).status).toBe(200);
  });

  test('an answer that does not fit into a message is an error that says so', async () => {
    await put('/v1/spaces/heavy', { dimension: 2 });
    const metadata = { text: 'x'.repeat(15_000) };
    for (let i = 0; i < 2; i++) {
      const observations = Array.from({ length: 50 }, (_, j) => ({
        id: `${i}-${j}`,
        embedding: [1, i * 50 + j],
        metadata,
      }));
      expect(
        (await post('/v1/spaces/heavy/observations?ack=searchable', { observations })).status,
      ).toBe(200);
    }
    const all = { embedding: [1, 1], k: 100 };
    const large = await post('/v1/spaces/heavy/recall', all);
    expect([large.status, large.body.code]).toEqual([400, 'ANSWER_TOO_LARGE']);
    const small = await post('/v1/spaces/heavy/recall', { ...all, include: [] });
    expect([small.status, small.body.results.length]).toEqual([200, 100]);
  });

  test('a filter of megabytes, a path of kilobytes and a million bad lines are refused', async () => {
    const filter = {
      text: { $in: Array.from({ length: 200 }, (_, i) => String(i).padEnd(1_000)) },
    };
    const recalled = await post('/v1/spaces/docs/recall', { embedding: [1, 2, 3], k: 1, filter });
    expect([recalled.status, recalled.body.code]).toEqual([400, 'INVALID_FILTER']);
    expect((await get(`/v1/spaces/${'x'.repeat(2_000)}`)).status).toBe(400);
    const lines = gzipSync('x\n'.repeat(400_000));
    const headers = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' };
    const answer = await send('POST', '/v1/spaces/docs/observations', lines, headers);
    expect([answer.status, answer.body.code]).toEqual([413, 'BATCH_TOO_LARGE']);
  });

  test('an atomic batch of more frames than may be under way is stored whole', async () => {
    await put('/v1/spaces/frames', { dimension: 1 });
    // Each text may have three bytes a character, so a frame takes some dozen of them.
    const metadata = { t: 'x'.repeat(700) };
    const observations = Array.from({ length: 1_000 }, (_, i) => ({
      id: `${i}`,
      embedding: [1],
      metadata,
    }));
    const answer = await post('/v1/spaces/frames/observations?atomic=true&ack=searchable', {
      observations,
    });
    expect([answer.status, answer.body.accepted]).toEqual([200, 1_000]);
  });
});

describe('recall', () => {
  beforeAll(async () => {
    await put('/v1/spaces/compass', { dimension: 2 });
    const observations = [
      { id: 'east', embedding: [1, 0], metadata: { axis: 'x', turn: 0 } },
      { id: 'north', embedding: [0, 1], metadata: { axis: 'y', turn: 90 } },
      { id: 'west', embedding: [-1, 0], metadata: { axis: 'x', turn: 180 } },
      { id: 'south', embedding: [0, -1], timestamp: 5 },
    ];
    await post('/v1/spaces/compass/observations?ack=searchable', { observations });
    await put('/v1/spaces/compass-2', { dimension: 2 });
    await post('/v1/spaces/compass-2/observations?ack=searchable', {
      id: 'north-east',
      embedding: [1, 1],
    });
  });

  const recall = (body: object) =>
    post('/v1/spaces/compass/recall', { embedding: [2, 0.1], k: 4, ...body });
  const ids = ({ body }: Answer) => body.results.map(({ id }) => id);

  test('the nearest come first, with their cosine', async () => {
    const answer = await recall({});
    expect(ids(answer)).toEqual(['east', 'north', 'south', 'west']);
    expect(answer.body.results[0]?.score).toBeCloseTo(2 / Math.hypot(2, 0.1), 5);
    expect(answer.body.results[0]?.metadata).toEqual({ axis: 'x', turn: 0 });
  });

  test('an exact one is asked for by name', async () => {
    expect(ids(await recall({ exact: true }))).toEqual(['east', 'north', 'south', 'west']);
  });

  test.each([
    [{ axis: 'x' }, ['east', 'west']],
    [{ turn: { $gte: 90 } }, ['north', 'west']],
    [{ $not: { axis: { $exists: true } } }, ['south']],
    [{ $or: [{ turn: 0 }, { turn: { $in: [180, 7] } }] }, ['east', 'west']],
    [{ axis: 'z' }, []],
  ])('the filter %j leaves what matches', async (filter, expected) => {
    expect(ids(await recall({ filter }))).toEqual(expected);
  });

  test('only what is asked for is included', async () => {
    const { body } = await recall({ include: ['embedding', 'timestamp'], k: 3 });
    expect(body.results[0]).toEqual({
      id: 'east',
      score: expect.any(Number) as number,
      embedding: [1, 0],
    });
    expect(body.results[2]?.timestamp).toBe(5);
  });

  test('several spaces are merged', async () => {
    const answer = await post('/v1/recall', {
      spaces: ['compass', 'compass-2'],
      embedding: [1, 1],
      k: 2,
    });
    expect(answer.body.results.map(({ space, id }) => `${space}/${id}`)).toEqual([
      'compass-2/north-east',
      'compass/east',
    ]);
    expect(answer.body.shards.answered).toBe(2);
    const mixed = await post('/v1/recall', {
      spaces: ['compass', 'docs'],
      embedding: [1, 1],
      k: 2,
    });
    expect([mixed.status, mixed.body.code]).toEqual([400, 'INVALID_PARAMETER']);
  });

  test('an empty space answers nothing, completely', async () => {
    await put('/v1/spaces/empty', { dimension: 2 });
    const { status, body } = await post('/v1/spaces/empty/recall', { embedding: [1, 1], k: 5 });
    expect([status, body.results, body.degraded]).toEqual([200, [], false]);
  });

  test.each([
    [{ k: 0 }, '/k'],
    [{ k: -1 }, '/k'],
    [{ k: 1.5 }, '/k'],
    [{ k: '10' }, '/k'],
    [{ k: 1e9 }, '/k'],
    [{ exact: 'yes' }, '/exact'],
    [{ ef: 1 }, '/ef'],
    [{ ef: 1e9 }, '/ef'],
    [{ embedding: [1] }, '/embedding'],
    [{ embedding: [0, 0] }, '/embedding'],
    [{ embedding: ['1', 2] }, '/embedding'],
    [{ embedding: [1, 1e39] }, '/embedding'],
    [{ embedding: 'AAA' }, '/embedding'],
    [{ embedding: {} }, '/embedding'],
    [{ filter: { a: { $regex: '(a+)+$' } } }, '/filter/a/$regex'],
    [{ filter: [] }, '/filter'],
    [{ filter: { $or: [] } }, '/filter/$or'],
    [{ minPosition: 'tomorrow' }, '/minPosition'],
    [{ minPosition: '1-0.0.0' }, '/minPosition'],
    [{ waitMs: 1e12 }, '/waitMs'],
    [{ include: ['everything'] }, '/include/0'],
    [{ limit: 3 }, '/limit'],
  ])('the query %j is refused at %s', async (query, pointer) => {
    const { status, body } = await recall(query);
    expect([status, body.errors?.[0]?.pointer]).toEqual([400, pointer]);
  });
});

describe('bodies that are refused as a whole', () => {
  const path = '/v1/spaces/docs/observations';
  const invalidUtf8 = Buffer.concat([
    Buffer.from('{"id":"'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('","embedding":[1,2,3]}'),
  ]);
  test.each<[string, string | Uint8Array, Record<string, string>, number, string]>([
    ['an open brace', '{', JSON_TYPE, 400, 'INVALID_JSON'],
    ['a trailing comma', '{"id":"a",}', JSON_TYPE, 400, 'INVALID_JSON'],
    ['NaN', '{"id":"a","embedding":[NaN,1,2]}', JSON_TYPE, 400, 'INVALID_JSON'],
    ['nothing', '', JSON_TYPE, 400, 'EMPTY_BATCH'],
    ['blanks', '   ', JSON_TYPE, 400, 'INVALID_JSON'],
    ['an array', '[]', JSON_TYPE, 400, 'INVALID_BODY'],
    ['null', 'null', JSON_TYPE, 400, 'INVALID_BODY'],
    ['a number', '12', JSON_TYPE, 400, 'INVALID_BODY'],
    ['no observations', '{"observations":[]}', JSON_TYPE, 400, 'EMPTY_BATCH'],
    ['observations that are no list', '{"observations":{}}', JSON_TYPE, 400, 'INVALID_BODY'],
    ['another field', '{"observations":[],"space":"x"}', JSON_TYPE, 400, 'INVALID_BODY'],
    [
      'a prototype',
      '{"id":"a","embedding":[1,2,3],"__proto__":{"admin":true}}',
      JSON_TYPE,
      400,
      'INVALID_JSON',
    ],
    ['bytes that are no UTF-8', invalidUtf8, JSON_TYPE, 400, 'INVALID_UTF8'],
    ['deep nesting', '['.repeat(200_000), JSON_TYPE, 400, 'INVALID_JSON'],
    [
      'another type',
      'id=a',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['no type that is one', '{}', { 'content-type': 'json' }, 415, 'UNSUPPORTED_MEDIA_TYPE'],
    [
      'another encoding',
      '{}',
      { ...JSON_TYPE, 'content-encoding': 'br' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    ['no gzip', '{}', { ...JSON_TYPE, 'content-encoding': 'gzip' }, 400, 'INVALID_BODY'],
    [
      'a gzip bomb',
      gzipSync(Buffer.alloc(64 * 1024 * 1024)),
      { ...JSON_TYPE, 'content-encoding': 'gzip' },
      413,
      'BODY_TOO_LARGE',
    ],
    ['too many bytes', Buffer.alloc(1024 * 1024 + 1), JSON_TYPE, 413, 'BODY_TOO_LARGE'],
    [
      'no MessagePack',
      Buffer.from([0x82, 0xa1]),
      { 'content-type': 'application/msgpack' },
      400,
      'INVALID_MSGPACK',
    ],
    [
      'half a frame',
      Buffer.from('ENGF\u0001'),
      { 'content-type': 'application/vnd.engram.frame' },
      400,
      'INVALID_FRAME',
    ],
    [
      'too many observations',
      `{"observations":[${'1,'.repeat(10_000)}1]}`,
      JSON_TYPE,
      413,
      'BATCH_TOO_LARGE',
    ],
  ])('%s', async (_name, body, headers, status, code) => {
    const answer = await send('POST', path, body, headers);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  });

  test('a type that is not known is named', async () => {
    const type = { 'content-type': `text/${'x'.repeat(4_000)}` };
    const { body } = await send('POST', path, 'id=a', type);
    expect(body.detail).toMatch(/^the content type text\/x{95} is not known here$/);
  });

  test('broken JSON says at which byte', async () => {
    const { body } = await post(path, '{"id":"é","embedding":[1,2,3],}');
    expect(body.detail).toBe('not JSON: unexpected character at byte 31');
    const { body: end } = await post(path, '{"id":"a"');
    expect(end.detail).toBe('not JSON: unexpected end at byte 9');
  });

  test('a broken line of NDJSON is told with its number and stops no other', async () => {
    const lines =
      '{"id":"line-1","embedding":[1,2,3]}\n{"id":\n\n{"id":"line-4","embedding":[1,2,3]}\n';
    const { status, body } = await send('POST', `${path}?ack=searchable`, lines, {
      'content-type': 'application/x-ndjson',
    });
    expect([status, body.accepted, body.errors[0]?.line, body.errors[0]?.code]).toEqual([
      207,
      2,
      2,
      'INVALID_JSON',
    ]);
  });

  test.each([
    '?ack=sometimes',
    '?timeoutMs=-1',
    '?timeoutMs=1e12',
    '?atomic=maybe',
    '?lane=urgent',
    '?k=1',
    '?ack=logged&ack=indexed',
  ])('the parameters %s are refused', async (query) => {
    const { status, body } = await post(path + query, { id: 'a', embedding: [1, 2, 3] });
    expect([status, body.code]).toEqual([400, 'INVALID_PARAMETER']);
  });

  test.each(['', 'a b', 'ü', 'x'.repeat(256)])(
    'the Idempotency-Key "%s" is refused',
    async (key) => {
      const { status, body } = await post(
        path,
        { id: 'a', embedding: [1, 2, 3] },
        { 'idempotency-key': key },
      );
      expect([status, body.code]).toEqual([400, 'INVALID_PARAMETER']);
    },
  );
});

describe('the HTTP surface', () => {
  test('unknown routes and codes are problems too', async () => {
    const { status, body } = await get('/v2/nothing');
    expect([status, body.code]).toEqual([404, 'ROUTE_NOT_FOUND']);
    expect((await get('/problems/DIMENSION_MISMATCH')).body).toMatchObject({
      status: 400,
      retryable: false,
    });
    expect((await get('/problems/dimension_mismatch')).status).toBe(200);
    expect((await get('/problems/toString')).status).toBe(404);
    expect((await get('/%')).status).toBe(400);
  });

  test('OpenAPI 3.1 describes every route, and the page shows it', async () => {
    const { body } = await get('/openapi.json');
    expect(body.openapi).toBe('3.1.0');
    expect(Object.keys(body.paths)).toEqual(
      expect.arrayContaining([
        '/v1/spaces',
        '/v1/spaces/{space}',
        '/v1/spaces/{space}/observations',
        '/v1/spaces/{space}/observations/{id}',
        '/v1/spaces/{space}/recall',
        '/v1/recall',
        '/v1/cluster',
        '/v1/ring',
        '/livez',
        '/readyz',
        '/metrics',
      ]),
    );
    const { post: writes } = body.paths['/v1/spaces/{space}/observations'] as {
      readonly post: { readonly requestBody: { readonly content: object } };
    };
    expect(Object.keys(writes.requestBody.content)).toEqual([
      'application/json',
      'application/x-ndjson',
      'application/msgpack',
      'application/vnd.engram.frame',
    ]);
    const page = await fetch(`${url}/docs/static/index.html`);
    expect(page.status).toBe(200);
  });

  test('the state of the cluster names members, owners and lag', async () => {
    const { body } = await get('/v1/cluster');
    expect(body).toMatchObject({ cluster: 'engram', partitionCount: 64, degraded: false });
    expect(body.members).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          id: 'shard-1',
          role: 'shard',
          partitions: 64,
          ready: 64,
          lag: 0,
        }),
      ]),
    );
    const { nats, redis, members } = await running.client.cluster();
    expect([nats?.connected, nats?.version?.split('.')[0], redis?.connected]).toEqual([
      true,
      '2',
      true,
    ]);
    expect(redis?.version).toMatch(/^\d/);
    expect(nats?.logBytesMax).toBeGreaterThan(nats?.logBytes ?? Infinity);
    const shard = members.find(({ id }) => id === 'shard-1');
    expect(shard?.pressure?.low.level).toBe('normal');
    expect(shard?.applied?.normal).toBeTypeOf('number');
    expect(shard?.clockSkewMs).toBeTypeOf('number');
    expect(body.partitions).toHaveLength(64);
    expect((await get('/readyz')).status).toBe(200);
    expect((await get('/livez')).status).toBe(200);
  });

  test('the state of the cluster says why it is degraded', async () => {
    const { redis } = running.cluster;
    redis.signal('SIGSTOP');
    try {
      const { body } = await until('Redis is missed', async () => {
        const answer = await get('/v1/cluster');
        return answer.body.degraded ? answer : undefined;
      });
      expect(body.reasons).toEqual([expect.stringContaining('Redis does not answer')]);
    } finally {
      redis.signal('SIGCONT');
    }
    await until('it is back', async () => !(await get('/v1/cluster')).body.degraded);
    expect((await get('/v1/cluster')).body.reasons).toEqual([]);
  });

  test('the ring names who owns which partition, and that nothing moves', async () => {
    const { status, body } = await get('/v1/ring');
    expect([status, body.replication, body.moves]).toEqual([200, 1, []]);
    const one = ['shard-1'];
    for (const [partition, each] of body.partitions.entries())
      expect(each).toEqual({ partition, owners: one, ready: one });
    expect(body.partitions).toHaveLength(64);
    const shard = { id: 'shard-1', role: 'shard', owned: 64, held: 64, ready: 64 };
    expect(body.members).toEqual(expect.arrayContaining([expect.objectContaining(shard)]));
    expect(await running.client.ring()).toMatchObject({ moves: [], partitionCount: 64 });
  });

  test('metrics have one prefix, no id in any label, and spaces only where these are bounded', async () => {
    const gateway = await (await fetch(`${url}/metrics`)).text();
    const shard = await (await fetch(`${running.cluster.shards[0]!.url}/metrics`)).text();
    for (const text of [gateway, shard]) {
      const names = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
      expect(names.filter((line) => !line.startsWith('engram_'))).toEqual([]);
      const others = names.filter((line) => !line.startsWith('engram_space_'));
      expect(others.join('\n')).not.toContain('compass');
      expect(text).not.toContain('north-east');
    }
    expect(gateway).toMatch(
      /engram_ingest_items_total\{result="rejected",reason="DIMENSION_MISMATCH",/,
    );
    expect(gateway).toMatch(/engram_space_items_total\{space="compass",/);
    expect(shard).toMatch(/engram_freshness_seconds_count\{[^}]*lane="normal"/);
  });

  test.each([
    ['nonsense', 'GARBAGE\r\n\r\n', '400'],
    [
      'two lengths',
      'POST /v1/recall HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
    ],
    [
      'headers beyond measure',
      `GET /livez HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(70_000)}\r\n\r\n`,
      '431',
    ],
  ])('a connection with %s gets a problem and is closed', async (_name, bytes, status) => {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.on('error', () => undefined); // a reset after the answer is as good as an end
    socket.write(bytes);
    await until('it is closed', () => socket.closed || socket.readableEnded);
    expect(text.split(' ')[1]).toBe(status);
    expect(text).toContain('application/problem+json');
    expect((await get('/livez')).status).toBe(200);
  });
});
