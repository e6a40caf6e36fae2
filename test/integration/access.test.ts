// A gateway that wants to know who asks, tried from outside: every route, as everybody.

import { mintApiKey, parseGrants } from '@engram/access';
import { EngramClient } from '@engram/client';
import { createHmac, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));
const alice = mintApiKey('alice', parseGrants({ 'alice-*': ['admin'], shared: ['read'] }));
const writer = mintApiKey('writer', parseGrants({ shared: ['write'] }));
const limited = mintApiKey('limited', parseGrants({ '*': ['read'] }));
const passing = mintApiKey('passing', parseGrants({ shared: ['read', 'write'] }));
const reader = mintApiKey('reader', parseGrants({ '*': ['read'] }));

let running: TestCluster;
let url: string;
let folder: Awaited<ReturnType<typeof tempDir>>;

beforeAll(async () => {
  folder = await tempDir();
  const records = [operator, alice, writer, reader, limited].map(({ record }) => record);
  running = await startTestCluster({
    shards: 1,
    apiKey: operator.key,
    env: {
      ENGRAM_API_KEYS: JSON.stringify(records),
      ENGRAM_API_KEYS_FILE: await file('keys.json', JSON.stringify([passing.record])),
      ENGRAM_LIMITS_FILE: await file('limits.json', '{"callers":{"key:limited":{"readsPerS":1}}}'),
      ENGRAM_JWT_SECRET_FILE: await file('secret', secret),
      ENGRAM_JWT_ISSUER: 'https://id.example.org/',
      ENGRAM_JWT_AUDIENCE: 'engram',
    },
  });
  ({ url } = running.cluster);
  for (const space of ['alice-notes', 'alice-mail', 'alicf-mail', 'shared', 'bobs'])
    await running.client.createSpace(space, { dimension: 2 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const secret = randomBytes(32);

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder.path, name);
  await writeFile(path, content);
  return path;
}

/** A token signed by hand, so that nothing of the product made it. */
function token(claims: object, key: Uint8Array = secret): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

interface Answer {
  readonly status: number;
  readonly challenge: string | null;
  readonly text: string;
  readonly body: {
    readonly code?: string;
    readonly detail?: string;
    readonly hint?: string;
    readonly details?: Readonly<Record<string, unknown>>;
    readonly spaces?: readonly { readonly space: string }[];
    readonly deadLetters?: readonly { readonly id: string }[];
  };
}

async function ask(
  authorization: string | undefined,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  return {
    status: response.status,
    challenge: response.headers.get('www-authenticate'),
    text,
    body: isJson && text !== '' ? (JSON.parse(text) as Answer['body']) : {},
  };
}

const as = (who: { readonly key: string }, method: string, path: string, body?: unknown) =>
  ask(`Bearer ${who.key}`, method, path, body);

/** Every route, as the gateway documents it, with a space of somebody else in it. */
async function routes(): Promise<{ readonly method: string; readonly path: string }[]> {
  const { paths } = JSON.parse((await ask(undefined, 'GET', '/openapi.json')).text) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      method: method.toUpperCase(),
      path: path.replace('{space}', 'bobs').replace('{id}', '0-1').replace('{code}', 'INTERNAL'),
    })),
  );
}

test('without a key nothing answers but health and what errors mean', async () => {
  const open: string[] = [];
  const all = await routes();
  expect(all.length).toBeGreaterThan(15);
  for (const { method, path } of all) {
    const { status, body, challenge } = await ask(undefined, method, path);
    if (status === 200) open.push(path);
    else
      expect([path, status, body.code, challenge]).toEqual([
        path,
        401,
        'UNAUTHENTICATED',
        'Bearer realm="engram"',
      ]);
  }
  expect(open.sort()).toEqual(['/livez', '/problems/INTERNAL', '/readyz']);
});

test('credentials that are wrong in any way are refused alike, and never repeated', async () => {
  const [id, secret] = [alice.key.slice(0, 13), alice.key.slice(13)];
  const stranger = mintApiKey('alice', parseGrants({ '*': ['admin'] })).key;
  const wrong = [
    `Bearer ${stranger}`,
    `Bearer ${id}${secret.toLowerCase()}`,
    `Bearer ${alice.key}x`,
    `Bearer ${alice.record.hash}`,
    `Bearer ${operator.key.replace('_operator_', '_alice_')}`,
    `Bearer ${'x'.repeat(9_000)}`,
    `Basic ${Buffer.from(`alice:${alice.key}`).toString('base64')}`,
    alice.key,
    'Bearer',
    'Bearer a b',
  ];
  for (const authorization of wrong) {
    const { status, body, challenge, text } = await ask(authorization, 'GET', '/v1/spaces');
    expect([authorization.slice(0, 30), status, body.code]).toEqual([
      authorization.slice(0, 30),
      401,
      'UNAUTHENTICATED',
    ]);
    expect(challenge).toContain('error="invalid_token"');
    expect(text).not.toContain(secret);
    expect(text).not.toContain(authorization.slice(7, 60) || 'unsent');
  }
  expect((await ask(undefined, 'GET', `/v1/spaces?api_key=${alice.key}`)).status).toBe(401);
  expect((await ask(`bearer  ${alice.key}`, 'GET', '/v1/spaces')).status).toBe(200);
});

test('what a key has no scope for is refused by name, whether it exists or not', async () => {
  for (const [space, other] of [
    ['bobs', 'nobodys'],
    ['shared', 'sharedx'],
  ] as const) {
    const real = await as(writer, 'GET', `/v1/spaces/${space}`);
    const unreal = await as(writer, 'GET', `/v1/spaces/${other}`);
    expect([real.status, real.body.code, real.body.details]).toEqual([
      403,
      'FORBIDDEN',
      { scope: 'read', space },
    ]);
    expect(real.challenge).toContain('error="insufficient_scope"');
    expect(unreal.text.replaceAll(other, space)).toBe(real.text);
  }
});

test('every route of a space asks for the scope of that space, and operators alone run the cluster', async () => {
  // Spaces are named by what is sent there, and nothing is.
  const judged: Readonly<Record<string, number>> = { '/v1/recall': 400, '/v1/stream': 426 };
  for (const { method, path } of await routes()) {
    if (['/livez', '/problems/INTERNAL', '/readyz', '/v1/spaces'].includes(path)) continue;
    const { status } = await as(alice, method, path, method === 'GET' ? undefined : {});
    const isHidden = path.startsWith('/v1/dead-letters/0-1');
    expect([method, path, status]).toEqual([method, path, isHidden ? 404 : (judged[path] ?? 403)]);
  }
  const item = { observations: [{ id: 'a', embedding: [1, 0] }] };
  const write = '/v1/spaces/shared/observations?ack=searchable';
  expect((await as(writer, 'POST', write, item)).status).toBe(200);
  expect((await as(alice, 'POST', write, item)).status).toBe(403);
  expect((await as(reader, 'POST', write, item)).status).toBe(403);
  expect((await as(alice, 'GET', '/v1/spaces/shared/observations/a')).status).toBe(200);
  expect((await as(writer, 'GET', '/v1/spaces/shared/observations/a')).status).toBe(403);
  expect((await as(alice, 'PUT', '/v1/spaces/alice-new', { dimension: 2 })).status).toBe(201);
  expect((await as(alice, 'PUT', '/v1/spaces/alicia', { dimension: 2 })).status).toBe(403);
  expect((await as(alice, 'DELETE', '/v1/spaces/alice-new')).status).toBe(204);
  for (const path of ['/v1/cluster', '/v1/ring', '/metrics', '/v1/spaces/shared/verify'])
    expect([path, (await as(reader, 'GET', path)).status]).toEqual([path, 403]);
  for (const path of ['/v1/cluster', '/v1/ring', '/metrics', '/v1/spaces/shared/verify'])
    expect([path, (await as(operator, 'GET', path)).status]).toEqual([path, 200]);
});

test('several spaces are recalled only by who may read each of them', async () => {
  const recall = (who: typeof alice, spaces: string[]) =>
    as(who, 'POST', '/v1/recall', { spaces, embedding: [1, 0], k: 1 });
  expect((await recall(alice, ['alice-notes', 'shared'])).status).toBe(200);
  const refused = await recall(alice, ['alice-notes', 'bobs']);
  expect([refused.status, refused.body.details]).toEqual([403, { scope: 'read', space: 'bobs' }]);
  const unreal = await recall(alice, ['alice-nothing', 'nobodys']);
  expect([unreal.status, unreal.body.details]).toEqual([403, { scope: 'read', space: 'nobodys' }]);
  expect((await recall(reader, ['bobs', 'shared'])).status).toBe(200);
});

test('lists and hints name only what one may read', async () => {
  const names = async (who: typeof alice, query = '') => {
    const { body } = await as(who, 'GET', `/v1/spaces${query}`);
    return body.spaces?.map(({ space }) => space);
  };
  expect(await names(alice)).toEqual(['alice-mail', 'alice-notes', 'shared']);
  expect(await names(alice, '?limit=1&cursor=alice-notes')).toEqual(['shared']);
  expect(await names(writer)).toEqual([]);
  expect(await names(reader)).toEqual([
    'alice-mail',
    'alice-notes',
    'alicf-mail',
    'bobs',
    'shared',
  ]);
  expect((await as(reader, 'GET', '/v1/spaces/bob')).body.hint).toContain('bobs');
  const near = await as(alice, 'GET', '/v1/spaces/alice-mai');
  expect([near.status, near.body.hint]).toEqual([404, 'did you mean alice-mail?']);
  const more = await as(reader, 'GET', '/v1/spaces/alice-mai');
  expect(more.body.hint).toContain('alicf-mail');
});

test('dead letters of a space are its admin’s, all others the operator’s', async () => {
  const nats = await connectNats({ servers: running.cluster.nats.url });
  for (const space of ['alice-notes', 'bobs'])
    await nats.jetstream().publish(`observe.normal.${space}`, 'no JSON');
  await nats.close();
  const list = (who: typeof alice, query: string) => as(who, 'GET', `/v1/dead-letters${query}`);
  const idIn = (space: string) =>
    until(`a dead letter of ${space}`, async () => {
      const { body } = await list(operator, `?space=${space}`);
      return body.deadLetters?.[0]?.id;
    });
  const own = await idIn('alice-notes');
  const other = await idIn('bobs');
  const place = (id: string) => `/v1/dead-letters/${id}`;
  expect((await as(alice, 'GET', place(own))).status).toBe(200);
  expect((await as(alice, 'GET', `${place(own)}/payload`)).text).toBe('no JSON');
  const hidden = await as(alice, 'GET', place(other));
  const missing = await as(alice, 'GET', place('0-999999'));
  expect([hidden.status, hidden.text]).toEqual([404, missing.text.replaceAll('0-999999', other)]);
  expect((await as(alice, 'GET', `${place(other)}/payload`)).status).toBe(404);
  expect((await as(alice, 'DELETE', place(other))).status).toBe(404);
  expect((await as(reader, 'GET', place(own))).status).toBe(404);

  expect((await list(alice, '?space=alice-notes')).body.deadLetters).toHaveLength(1);
  expect((await list(alice, '?space=bobs')).status).toBe(403);
  expect((await list(alice, '')).status).toBe(403);
  const redrive = (who: typeof alice, body: object) =>
    as(who, 'POST', '/v1/dead-letters/redrive', body);
  expect((await redrive(alice, { ids: [other] })).status).toBe(403);
  // A space of one's own beside ids does not open the ids.
  expect((await redrive(alice, { space: 'alice-notes', ids: [other] })).status).toBe(400);
  expect((await as(alice, 'DELETE', '/v1/dead-letters?space=bobs')).status).toBe(403);
  expect((await as(alice, 'DELETE', '/v1/dead-letters?all=true')).status).toBe(403);
  expect((await list(operator, '')).body.deadLetters).toHaveLength(2);
  expect((await as(alice, 'DELETE', place(own))).status).toBe(200);
});

test('a token is taken beside keys, with its own scopes, for as long as it is good', async () => {
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const claims = { iss: 'https://id.example.org/', aud: 'engram', sub: 'carol', exp };
  const scopes = { engram: { 'alice-notes': ['read'] } };
  const list = (credential: string) => ask(`Bearer ${credential}`, 'GET', '/v1/spaces');
  const listed = await list(token({ ...claims, ...scopes }));
  expect(listed.body.spaces?.map(({ space }) => space)).toEqual(['alice-notes']);
  const refused = await ask(`Bearer ${token(claims)}`, 'GET', '/v1/spaces/alice-notes');
  expect([refused.status, refused.body.detail]).toEqual([
    403,
    'jwt:carol has no scope read for space alice-notes',
  ]);
  const over = await list(token({ ...claims, ...scopes, exp: exp - 1_200 }));
  expect([over.status, over.body.detail]).toEqual([401, 'the token has expired']);
  for (const wrong of [
    token({ ...claims, ...scopes, aud: 'other' }),
    token({ ...claims, ...scopes }, randomBytes(32)),
    token({ ...claims, ...scopes }).replace(/[^.]*$/, ''),
  ])
    expect((await list(wrong)).status).toBe(401);
});

test('a caller with a limit is held to it by the name of its key, and no other caller of the space', async () => {
  const recall = (who: typeof alice) =>
    as(who, 'POST', '/v1/spaces/shared/recall', { embedding: [1, 0], k: 1 });
  const refused = await until('more is asked than one a second', async () => {
    const answer = await recall(limited);
    return answer.status === 429 && answer;
  });
  expect(refused.body).toMatchObject({ code: 'RATE_LIMITED', details: { scope: 'caller' } });
  expect((await recall(reader)).status).toBe(200);
});

test('a key that is taken away ends the sessions and tails that were begun with it', async () => {
  const client = new EngramClient({ url, apiKey: passing.key });
  const one = [{ id: 'passing', embedding: [1, 0] }];
  const session = client.session({ space: 'shared' });
  await session.put(one);
  const tailing = (async () => {
    for await (const _ of client.tail('shared')) continue;
  })();
  const writing = (async () => {
    for (;;) await session.put(one);
  })();
  const [tail, write] = [tailing, writing].map((each) =>
    expect(each).rejects.toMatchObject({ code: 'UNAUTHENTICATED' }),
  );
  await file('keys.json', '[]');
  await write;
  await tail;
  await expect(session.close()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});
