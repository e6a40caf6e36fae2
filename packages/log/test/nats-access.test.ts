import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nkeys, type Authenticator } from 'nats';
import { expect, onTestFinished, test } from 'vitest';
import { natsAccess, placeOf } from '../src/nats-access.ts';

interface KeyPair {
  getSeed(): Uint8Array;
  getPublicKey(): string;
  verify(input: Uint8Array, signature: Uint8Array): boolean;
}
/** The library's own types do not reach this part of it. */
const { createUser } = nkeys as { readonly createUser: () => KeyPair };

function file(): string {
  const folder = mkdtempSync(join(tmpdir(), 'engram-nats-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'credentials');
}

const NONCE = 'a nonce of the server';

/** What the library sends to the server. */
function sent(options: ReturnType<typeof natsAccess>) {
  return (options.authenticator as Authenticator)(NONCE) as {
    readonly jwt?: string;
    readonly nkey?: string;
    readonly sig: string;
  };
}

const isOf = (key: KeyPair, sig: string) =>
  key.verify(new TextEncoder().encode(NONCE), Buffer.from(sig, 'base64'));

function credentials(jwt: string, key: KeyPair): string {
  const seed = new TextDecoder().decode(key.getSeed());
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`;
}

test('a user and a password in the URL are given to the server, and stand in no address', () => {
  const url = 'nats://member:p%40ss%2Fword@nats:4222';
  expect(natsAccess({ url })).toMatchObject({
    servers: 'nats:4222',
    user: 'member',
    pass: 'p@ss/word',
  });
  expect(natsAccess({ url })).not.toHaveProperty('tls');
  expect(placeOf({ url })).toBe('nats://nats:4222');
  expect(natsAccess({ url: 'tls://nats:4222' })).toMatchObject({ tls: {} });
});

test('a file of credentials signs what the server asks, with what it holds by then', () => {
  const credsFile = file();
  const [old, renewed] = [createUser(), createUser()];
  writeFileSync(credsFile, credentials('old.jwt.x', old));
  const options = natsAccess({ url: 'nats://nats:4222', credsFile });
  expect(sent(options).jwt).toBe('old.jwt.x');
  expect(isOf(old, sent(options).sig)).toBe(true);
  writeFileSync(credsFile, credentials('renewed.jwt.x', renewed));
  expect(sent(options).jwt).toBe('renewed.jwt.x');
  expect(isOf(renewed, sent(options).sig)).toBe(true);
});

test('an nkey signs what the server asks', () => {
  const nkeyFile = file();
  const key = createUser();
  writeFileSync(nkeyFile, `${new TextDecoder().decode(key.getSeed())}\n`);
  const { nkey, sig } = sent(natsAccess({ url: 'nats://nats:4222', nkeyFile }));
  expect(nkey).toBe(key.getPublicKey());
  expect(isOf(key, sig)).toBe(true);
});
