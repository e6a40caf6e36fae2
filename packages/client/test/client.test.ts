import { describe, expect, test } from 'vitest';
import { ClusterError, ConnectionError, EngramClient, PartialFailure } from '../src/index.ts';
import { fakeGateway } from './fake-gateway.ts';

const ACCEPTED = { accepted: 1, rejected: 0, position: '5-0.9.0', ack: 'logged' };
const CLUSTER = { cluster: 'main', epoch: 3, members: [], degraded: false };
const RING = { ...CLUSTER, partitions: [], moves: [] };
const ONE = [{ id: 'a', embedding: [0.5, -1, 0.25] }];

function problem(status: number, code: string, rest: Record<string, unknown> = {}) {
  const body = { type: 'about:blank', title: 't', status, detail: 'why', code, ...rest };
  return { status, body };
}

describe('spaces', () => {
  test('tells whether a space was made or found', async () => {
    const made = { space: 'words', dimension: 3, metric: 'cosine' };
    await using gateway = await fakeGateway((_, n) => ({
      status: n === 1 ? 201 : 200,
      body: made,
    }));
    const client = new EngramClient({ url: gateway.url });
    expect((await client.createSpace('words', { dimension: 3 })).created).toBe(true);
    expect((await client.createSpace('words', { dimension: 3 })).created).toBe(false);
    expect(gateway.asked[0]).toMatchObject({ method: 'PUT', url: '/v1/spaces/words' });
  });

  test('lists every page', async () => {
    await using gateway = await fakeGateway(({ url }) => ({
      status: 200,
      body: url.includes('cursor=p2')
        ? { spaces: [{ space: 'c' }] }
        : { spaces: [{ space: 'a' }, { space: 'b' }], nextCursor: 'p2' },
    }));
    const names: string[] = [];
    for await (const { space } of new EngramClient({ url: gateway.url }).spaces({ pageSize: 2 }))
      names.push(space);
    expect(names).toEqual(['a', 'b', 'c']);
    expect(gateway.asked.map(({ url }) => url)).toEqual([
      '/v1/spaces?limit=2',
      '/v1/spaces?limit=2&cursor=p2',
    ]);
  });

  test('a name can never reach another path', async () => {
    await using gateway = await fakeGateway(() => ({ status: 204 }));
    const client = new EngramClient({ url: gateway.url });
    await client.deleteSpace('../a/b?c#d');
    expect(gateway.asked[0]?.url).toBe('/v1/spaces/..%2Fa%2Fb%3Fc%23d');
    await expect(client.deleteSpace('..')).rejects.toMatchObject({ code: 'INVALID_SPACE_NAME' });
  });

  test('an observation with the id . is named in the query', async () => {
    await using gateway = await fakeGateway(() => ({ status: 202, body: ACCEPTED }));
    const client = new EngramClient({ url: gateway.url });
    await client.delete('words', '.');
    await client.delete('words', 'a/b');
    expect(gateway.asked.map(({ url }) => url)).toEqual([
      '/v1/spaces/words/observations?id=.',
      '/v1/spaces/words/observations/a%2Fb',
    ]);
  });
});

describe('put', () => {
  test('sends a batch frame where the observations fit into one', async () => {
    await using gateway = await fakeGateway(() => ({ status: 202, body: ACCEPTED }));
    const client = new EngramClient({ url: gateway.url });
    const metadata = { text: 'tä\u2028', list: [1, null] };
    await client.put(
      'words',
      [
        { id: 'ä', embedding: [0.5, -1], metadata, lane: 'low' },
        { id: '\u{1f375}', embedding: Float32Array.of(3, 4), timestamp: 7, lane: 'low' },
      ],
      { lane: 'high' },
    );
    expect(gateway.asked[0]).toMatchObject({
      url: '/v1/spaces/words/observations?lane=low',
      headers: { 'content-type': 'application/vnd.engram.frame' },
    });
    expect(gateway.asked[0]?.body).toEqual({
      observations: [
        { id: 'ä', embedding: Float32Array.of(0.5, -1), metadata },
        { id: '\u{1f375}', embedding: Float32Array.of(3, 4), timestamp: 7 },
      ],
    });
  });

  test.each<[string, unknown[]]>([
    [
      'two lanes',
      [
        { id: 'a', embedding: [1], lane: 'low' },
        { id: 'b', embedding: [1] },
      ],
    ],
    [
      'two dimensions',
      [
        { id: 'a', embedding: [1] },
        { id: 'b', embedding: [1, 2] },
      ],
    ],
    ['half a character', [{ id: '\ud83c', embedding: [1] }]],
    ['a field of another name', [{ id: 'a', embedding: [1], vector: 1 }]],
    ['a value beyond float32', [{ id: 'a', embedding: [1e39] }]],
    ['a number for an id', [{ id: 7, embedding: [1] }]],
    ['nothing', []],
  ])('sends JSON for %s, as it was given', async (_what, observations) => {
    await using gateway = await fakeGateway(() => ({ status: 202, body: ACCEPTED }));
    await new EngramClient({ url: gateway.url }).put('words', observations as [], {
      encoding: 'numbers',
    });
    await new EngramClient({ url: gateway.url }).put('words', observations as []);
    expect(gateway.asked[0]?.body).toEqual({ observations });
    expect(gateway.asked[1]?.headers['content-type']).toBe('application/json');
  });

  test('sends JSON with base64 of little-endian float32 else, with the lane and the options', async () => {
    await using gateway = await fakeGateway(() => ({ status: 202, body: ACCEPTED }));
    const client = new EngramClient({ url: gateway.url });
    const result = await client.put(
      'words',
      [...ONE, { id: 'b', embedding: new Float32Array([0.5, -1, 0.25]), lane: 'low' }],
      { ack: 'searchable', atomic: true, lane: 'high', ackTimeoutMs: 700 },
    );
    expect(result).toMatchObject({ accepted: 1, position: '5-0.9.0', errors: [] });
    const embedding = Buffer.from('0000003f000080bf0000803e', 'hex').toString('base64');
    expect(gateway.asked[0]).toMatchObject({
      url: '/v1/spaces/words/observations?ack=searchable&atomic=true&lane=high&timeoutMs=700',
      body: {
        observations: [
          { id: 'a', embedding },
          { id: 'b', lane: 'low', embedding },
        ],
      },
    });
  });

  test('passes on what is no list of floats, so that the cluster refuses it by its index', async () => {
    await using gateway = await fakeGateway(() => ({ status: 202, body: ACCEPTED }));
    const bad = [null, 1e300, 'x'] as unknown as number[];
    await new EngramClient({ url: gateway.url }).put('words', [{ id: 'a', embedding: bad }]);
    expect(gateway.asked[0]?.body).toEqual({ observations: [{ id: 'a', embedding: bad }] });
  });

  test('repeats under the same request id, so that a lost answer is not stored twice', async () => {
    await using gateway = await fakeGateway((_, n) => {
      if (n === 1) return 'cut';
      if (n === 2) return { ...problem(429, 'BACKPRESSURE'), headers: { 'retry-after': '0' } };
      return { status: 202, body: ACCEPTED };
    });
    await new EngramClient({ url: gateway.url }).put('words', ONE);
    const keys = gateway.asked.map(({ headers }) => headers['engram-request-id']);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[\w-]{36}$/);
    expect(gateway.asked[0]?.headers).not.toHaveProperty('idempotency-key');
    await new EngramClient({ url: gateway.url }).put('words', ONE, { idempotencyKey: 'day' });
    expect(gateway.asked.at(-1)?.headers['idempotency-key']).toBe('day');
  });

  test('waits for the milliseconds that the refusal names, not for the whole seconds of its header', async () => {
    const details = { retryAfterMs: 5, scope: 'partition', batchMax: 40, lanesOpen: ['high'] };
    await using gateway = await fakeGateway((_, n) =>
      n === 1
        ? { ...problem(429, 'BACKPRESSURE', { details }), headers: { 'retry-after': '50' } }
        : { status: 202, body: ACCEPTED },
    );
    const client = new EngramClient({ url: gateway.url, timeoutMs: 5_000 });
    await client.put('words', ONE);
    expect(gateway.asked).toHaveLength(2);
    await using refusing = await fakeGateway(() => problem(429, 'BACKPRESSURE', { details }));
    const refused = new EngramClient({ url: refusing.url }).put('words', ONE, { retries: 0 });
    await expect(refused).rejects.toMatchObject({ code: 'BACKPRESSURE', details });
    expect(refusing.asked).toHaveLength(1);
  }, 10_000);

  test('tells a partial failure by throwing, or by the result when asked', async () => {
    const errors = [{ index: 1, id: 'b', code: 'DIMENSION_MISMATCH', detail: 'has 2, wants 3' }];
    await using gateway = await fakeGateway(() => ({
      status: 207,
      body: { ...ACCEPTED, rejected: 1, errors, errorsTruncated: false },
    }));
    const client = new EngramClient({ url: gateway.url });
    const failure: unknown = await client.put('words', ONE).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PartialFailure);
    expect((failure as PartialFailure).result.errors).toEqual(errors);
    expect((failure as PartialFailure).message).toBe(
      '1 of 2 observations were refused: DIMENSION_MISMATCH at 1, has 2, wants 3',
    );
    const result = await client.put('words', ONE, { onPartial: 'return' });
    expect(result).toMatchObject({ accepted: 1, rejected: 1, errors });
    expect(gateway.asked).toHaveLength(2);
  });

  test('a batch that is refused whole is NOTHING_ACCEPTED with the reasons as its cause', async () => {
    const errors = [{ index: 0, code: 'INVALID_ID', detail: 'the id must not be empty' }];
    await using gateway = await fakeGateway(() => problem(422, 'NOTHING_ACCEPTED', { errors }));
    const client = new EngramClient({ url: gateway.url });
    const failure = await client.put('words', ONE).catch((error: unknown) => error as ClusterError);
    expect(failure).toMatchObject({ code: 'NOTHING_ACCEPTED', cause: { result: { errors } } });
    const result = await client.put('words', ONE, { onPartial: 'return' });
    expect(result).toMatchObject({ accepted: 0, rejected: 1, errors });
  });
});

describe('recall and single observations', () => {
  test('recall asks with base64, which is shorter and exact, and gives floats back', async () => {
    const answer = {
      results: [{ id: 'tea', score: 0.83, embedding: [1, 2], space: 'words' }],
      shards: { asked: 1, answered: 1, ids: ['shard-1'] },
      watermark: '5-0.9.0',
      degraded: false,
      tookMs: 1.5,
    };
    await using gateway = await fakeGateway(() => ({ status: 200, body: answer }));
    const client = new EngramClient({ url: gateway.url });
    const query = { embedding: new Float32Array([0.5, 2]), k: 3, filter: { a: 1 } };
    const one = await client.recall('words', query);
    expect(one.results[0]?.embedding).toEqual(new Float32Array([1, 2]));
    await client.recallSpaces(['words', 'names'], query);
    const body = { embedding: 'AAAAPwAAAEA=', k: 3, filter: { a: 1 } };
    expect(gateway.asked.map(({ url, body }) => ({ url, body }))).toEqual([
      { url: '/v1/spaces/words/recall', body },
      { url: '/v1/recall', body: { ...body, spaces: ['words', 'names'] } },
    ]);
  });

  test('an observation is read back, whatever its id and however its numbers travel', async () => {
    await using gateway = await fakeGateway(({ url }) => ({
      status: 200,
      body: { id: 'x', embedding: url.endsWith('1') ? [1, 2] : 'AACAPwAAAEA=', position: 'p' },
    }));
    const client = new EngramClient({ url: gateway.url });
    const floats = new Float32Array([1, 2]);
    expect((await client.get('words', 'a/b 1')).embedding).toEqual(floats);
    expect((await client.get('words', 'ü2')).embedding).toEqual(floats);
    expect(gateway.asked[0]?.url).toBe('/v1/spaces/words/observations/a%2Fb%201');
  });
});

describe('failures', () => {
  test('a problem becomes the error of the model', async () => {
    await using gateway = await fakeGateway(() =>
      problem(400, 'INVALID_SPACE_CONFIG', {
        hint: 'send a dimension',
        errors: [{ pointer: '/dimension', detail: 'is missing' }],
      }),
    );
    const client = new EngramClient({ url: gateway.url });
    const error: unknown = await client.space('words').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ClusterError);
    expect(error).toMatchObject({
      code: 'INVALID_SPACE_CONFIG',
      message: 'why',
      pointer: '/dimension',
      hint: 'send a dimension',
    });
    expect(gateway.asked).toHaveLength(1);
  });

  test('an answer from something that is not a gateway is still a typed error', async () => {
    await using gateway = await fakeGateway(() => ({ status: 418, body: ['tea'] }));
    const client = new EngramClient({ url: gateway.url });
    await expect(client.cluster()).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'GET /v1/cluster was answered 418, and not by a gateway: by what stands before it',
    });
  });

  test('nobody there is a ConnectionError that names who was asked', async () => {
    await using gateway = await fakeGateway(() => 'cut');
    const client = new EngramClient({ url: gateway.url, retries: 1 });
    const error: unknown = await client.cluster().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error).toMatchObject({ fault: 'unreachable', urls: [gateway.url] });
    expect(gateway.asked).toHaveLength(2);
  });

  test('a gateway that says nothing is given up at the deadline', async () => {
    await using gateway = await fakeGateway(() => 'hang');
    const client = new EngramClient({ url: gateway.url, timeoutMs: 50, retries: 0 });
    await expect(client.cluster()).rejects.toMatchObject({ fault: 'timeout' });
  });

  test('the next gateway is asked when one is gone, and stays the first', async () => {
    await using gone = await fakeGateway(() => 'cut');
    await using well = await fakeGateway(() => ({ status: 200, body: CLUSTER }));
    const client = new EngramClient({ url: [gone.url, well.url], retries: 0 });
    expect((await client.cluster()).epoch).toBe(3);
    expect((await client.cluster()).epoch).toBe(3);
    expect([gone.asked.length, well.asked.length]).toEqual([1, 2]);
  });

  test('a gateway that is draining is left for its neighbour', async () => {
    await using draining = await fakeGateway(() => problem(503, 'SHUTTING_DOWN'));
    await using well = await fakeGateway(() => ({ status: 200, body: CLUSTER }));
    const client = new EngramClient({ url: [draining.url, well.url] });
    expect((await client.cluster()).epoch).toBe(3);
  });

  test('refusals are told after as many tries as allowed, with the wait that was asked', async () => {
    await using gateway = await fakeGateway(() => ({
      ...problem(503, 'PARTITION_UNAVAILABLE'),
      headers: { 'retry-after': '0.01' },
    }));
    const client = new EngramClient({ url: gateway.url, retries: 2 });
    await expect(client.cluster()).rejects.toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
      details: { retryAfterMs: 10 },
    });
    expect(gateway.asked).toHaveLength(3);
  });

  test('what the cluster calls final is not repeated', async () => {
    await using gateway = await fakeGateway(() =>
      problem(503, 'LOG_UNAVAILABLE', { retryable: false }),
    );
    const client = new EngramClient({ url: gateway.url });
    await expect(client.cluster()).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    expect(gateway.asked).toHaveLength(1);
  });

  test('an abort ends a call that waits for an answer, and one that waits for its next try', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    await using gateway = await fakeGateway((_, n) => {
      if (n === 1) return { ...problem(429, 'BACKPRESSURE'), headers: { 'retry-after': '30' } };
      stop.abort(reason);
      return 'hang';
    });
    const client = new EngramClient({ url: gateway.url });
    const early = new AbortController();
    const waiting = client.put('words', ONE, { signal: early.signal });
    await expect.poll(() => gateway.asked.length, { timeout: 5_000 }).toBe(1);
    early.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(client.cluster({ signal: stop.signal })).rejects.toBe(reason);
    await expect(client.cluster({ signal: stop.signal })).rejects.toBe(reason);
    expect(gateway.asked).toHaveLength(2);
  });
});

describe('an API key', () => {
  test('goes with every try of a call, and is asked for anew by each where it is a function', async () => {
    await using gateway = await fakeGateway((_, n) =>
      n === 1 ? problem(503, 'LOG_UNAVAILABLE') : { status: 200, body: RING },
    );
    let asked = 0;
    const client = new EngramClient({ url: gateway.url, apiKey: () => `key-${++asked}` });
    await client.cluster();
    await client.ring();
    const sent = gateway.asked.map(({ headers }) => headers.authorization);
    expect(sent).toHaveLength(3);
    expect(sent.at(0)).toBe('Bearer key-1');
    expect(sent.at(-1)).toBe(`Bearer key-${asked}`);
  });

  test('stands in no error, also when it cannot be sent or is refused', async () => {
    await using gateway = await fakeGateway(() => problem(401, 'UNAUTHENTICATED'));
    const refused = new EngramClient({ url: gateway.url, apiKey: 'hidden' }).cluster();
    await expect(refused).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(refused).rejects.not.toThrow('hidden');
    const unsendable = new EngramClient({ url: gateway.url, apiKey: 'hid den' }).cluster();
    await expect(unsendable).rejects.toThrow('the API key has characters that no key has');
    expect(gateway.asked).toHaveLength(1);
  });

  test('is refused by a proxy in the words of the cluster', async () => {
    await using gateway = await fakeGateway(({ url }) => ({
      status: url.includes('ring') ? 403 : 401,
    }));
    const client = new EngramClient({ url: gateway.url });
    await expect(client.cluster()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(client.ring()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});
