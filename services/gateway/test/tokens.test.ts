import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseGrants } from '@engram/access';
import { systemClock } from '@engram/runtime';
import type { TokenSettings } from '@engram/runtime/service';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, type JWTPayload } from 'jose';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Tokens } from '../src/auth/tokens.ts';

const SETTINGS = {
  issuer: 'https://id.example.org/',
  audience: 'engram',
  algorithms: ['RS256', 'ES256'],
  scopesClaim: 'engram',
  clockToleranceMs: 5_000,
} as const;
const SCOPES = { 'team-*': ['read', 'write'] };

let pair: Awaited<ReturnType<typeof generateKeyPair>>;
let other: typeof pair;
let jwks: string;

beforeAll(async () => {
  pair = await generateKeyPair('RS256', { extractable: true });
  other = await generateKeyPair('RS256', { extractable: true });
  jwks = JSON.stringify({
    keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'one', use: 'sig' }],
  });
});

async function file(content: string | Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'engram-jwt-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'keys');
  await writeFile(path, content);
  return path;
}

const withFile = async (more: Partial<TokenSettings> = {}, clock = systemClock) =>
  Tokens.start({ ...SETTINGS, source: { kind: 'file', path: await file(jwks) }, ...more }, clock);

interface Made {
  readonly payload?: JWTPayload;
  readonly header?: { readonly alg?: string; readonly kid?: string; readonly jku?: string };
  readonly key?: Parameters<SignJWT['sign']>[0];
}

/** A good token but for what is given. Times are in seconds from now. */
function token({ payload = {}, header = {}, key = pair.privateKey }: Made = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const { iss, aud, exp = 60, nbf, ...rest } = payload;
  const claims = { sub: 'auth0|app', engram: SCOPES, ...rest };
  return new SignJWT({
    ...claims,
    iss: iss ?? SETTINGS.issuer,
    aud: aud ?? SETTINGS.audience,
    exp: now + exp,
    ...(nbf === undefined ? {} : { nbf: now + nbf }),
  })
    .setProtectedHeader({ alg: 'RS256', kid: 'one', ...header })
    .sign(key);
}

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token', () => {
  test('that is good says who asks and what they may do', async () => {
    const tokens = await withFile();
    expect(await tokens.verify(await token())).toMatchObject({
      id: 'jwt:auth0|app',
      grants: parseGrants(SCOPES),
    });
    // Clocks differ a little.
    await tokens.verify(await token({ payload: { exp: -1 } }));
    await tokens.verify(await token({ payload: { nbf: 1 } }));
    await tokens.verify(await token({ payload: { aud: ['other', 'engram'] } }));
  });

  test.each<[string, Made, RegExp]>([
    ['is over', { payload: { exp: -60 } }, /has expired/],
    ['is not yet', { payload: { nbf: 60 } }, /the nbf of the token/],
    ['is for somebody else', { payload: { aud: 'other' } }, /the aud of the token/],
    ['is from somebody else', { payload: { iss: 'https://evil.example.org/' } }, /the iss of/],
    ['names nobody', { payload: { sub: undefined as unknown as string } }, /the sub of the token/],
    ['has a name that is none', { payload: { sub: 'a\r\nb' } }, /cannot be a name/],
    ...[4711, null, ['root'], {}].map((sub): [string, Made, RegExp] => [
      `is of ${JSON.stringify(sub)}`,
      { payload: { sub: sub as unknown as string } },
      /cannot be a name/,
    ]),
    ['never ends', { payload: { exp: 1e300 } }, /the exp of the token is no time/],
    ['has scopes that are none', { payload: { engram: { notes: ['all'] } } }, /are no scopes/],
    ['has a list of scopes', { payload: { engram: ['notes:read'] } }, /are no scopes/],
    ['names a key that is not there', { header: { kid: 'two' } }, /cannot be verified/],
  ])('that %s is refused', async (_what, made, why) => {
    const tokens = await withFile();
    const refused = tokens.verify(await token(made));
    await expect(refused).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    await expect(refused).rejects.toThrow(why);
  });

  test('that another key signed, that was changed, or that is none is refused, and not repeated', async () => {
    const tokens = await withFile();
    const good = await token();
    const [header, payload, signature] = good.split('.') as [string, string, string];
    const mine = encoded({
      ...JSON.parse(Buffer.from(payload, 'base64url').toString()),
      sub: 'root',
    });
    const wrong = [
      await token({ key: other.privateKey }),
      `${header}.${mine}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -4)}AAAA`,
      `${header}.${payload}.`,
      `${header}.${payload}`,
      `${encoded({ alg: 'none' })}.${payload}.`,
      `${encoded({ alg: 'nOnE', kid: 'one' })}.${payload}.${signature}`,
      `${encoded({ alg: 'RS256', kid: 'one', crit: ['x'], x: 1 })}.${payload}.${signature}`,
      'engram',
      'a.b.c',
      '..',
    ];
    for (const each of wrong) {
      const error = await tokens.verify(each).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'UNAUTHENTICATED',
        message: 'the token cannot be verified',
      });
    }
  });

  test('cannot choose its algorithm: neither one that is not listed, nor a public key as a secret', async () => {
    const narrow = await withFile({ algorithms: ['ES256'] });
    await expect(narrow.verify(await token())).rejects.toThrow('cannot be verified');
    const tokens = await withFile();
    const publicKey = new TextEncoder().encode(await exportSPKI(pair.publicKey));
    const forged = await token({ header: { alg: 'HS256' }, key: publicKey });
    await expect(tokens.verify(forged)).rejects.toThrow('cannot be verified');
  });

  test('may bear its scopes as words among those of others', async () => {
    const tokens = await withFile({ scopesClaim: 'scope' });
    const scope = 'openid notes:read profile:email notes:write team-*:read *:evil';
    expect((await tokens.verify(await token({ payload: { scope } }))).grants).toEqual(
      parseGrants({ notes: ['read', 'write'], 'team-*': ['read'] }),
    );
    const none = await tokens.verify(await token({ payload: { engram: SCOPES } }));
    expect(none.grants.size).toBe(0);
  });
});

test('tokens of a shared secret', async () => {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const settings = { ...SETTINGS, algorithms: ['HS256'] };
  const start = async (bytes: Uint8Array) =>
    Tokens.start({ ...settings, source: { kind: 'secret', path: await file(bytes) } }, systemClock);
  const tokens = await start(secret);
  const header = { alg: 'HS256' };
  expect((await tokens.verify(await token({ header, key: secret }))).id).toBe('jwt:auth0|app');
  await expect(
    tokens.verify(await token({ header, key: crypto.getRandomValues(new Uint8Array(32)) })),
  ).rejects.toThrow('cannot be verified');
  await expect(tokens.verify(await token())).rejects.toThrow('cannot be verified');
  await expect(start(secret.subarray(1))).rejects.toThrow('at least 32 bytes');
});

test('keys that are fetched: from the URL of the settings only, and 503 while they cannot be', async () => {
  let status = 500;
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(status, { 'content-type': 'application/json' }).end(jwks);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tokens = await Tokens.start(
    { ...SETTINGS, source: { kind: 'url', url: `${base}/jwks` } },
    systemClock,
  );
  const unavailable = { code: 'IDENTITY_UNAVAILABLE', status: 503 };
  await expect(tokens.verify(await token())).rejects.toMatchObject(unavailable);
  status = 200;
  expect((await tokens.verify(await token())).id).toBe('jwt:auth0|app');
  // Another place in the token is not looked at, and unknown keys do not fetch again and again.
  const evil = { kid: '../../evil', jku: `${base}/evil` };
  for (let i = 0; i < 5; i++)
    await expect(
      tokens.verify(await token({ header: evil, key: other.privateKey })),
    ).rejects.toThrow('cannot be verified');
  expect(asked).toEqual(['/jwks', '/jwks']);
});

test('a file that holds no keys is refused at start', async () => {
  for (const text of ['', '{}', '{"keys": 1}'])
    await expect(
      Tokens.start({ ...SETTINGS, source: { kind: 'file', path: await file(text) } }, systemClock),
    ).rejects.toThrow();
});

test('who came with a token is valid until it ends, and the tolerance of clocks is over', async () => {
  let now = Date.now();
  const tokens = await withFile({}, { ...systemClock, wallNow: () => now });
  const caller = await tokens.verify(await token({ payload: { exp: 60 } }));
  now += 55_000;
  expect(caller.isValid()).toBe(true);
  now += 6_000 + SETTINGS.clockToleranceMs;
  expect(caller.isValid()).toBe(false);
});
