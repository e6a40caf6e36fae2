import { mintApiKey, parseGrants } from '@engram/access';
import { describe, expect, test } from 'vitest';
import { isAuthOn } from '../src/access-settings.ts';
import { loadSettings } from '../src/settings.ts';
import { tokenSettings } from '../src/token-settings.ts';

const { record } = mintApiKey('one', parseGrants({ '*': ['admin'] }));
const ENGRAM_API_KEYS = JSON.stringify([record]);

describe('a gateway that others reach', () => {
  const load = (environment: Record<string, string>) => loadSettings('gateway', environment);

  test.each(['0.0.0.0', '::', '10.0.0.1', 'gateway', '127.0.0.1.example.org'])(
    'does not start on %s unless it is said who may come, or that all may',
    (host) => {
      const environment = { ENGRAM_HTTP_HOST: host };
      expect(() => load(environment)).toThrow(/ENGRAM_HTTP_HOST: others reach [^]*ENGRAM_AUTH=off/);
      expect(isAuthOn(load({ ...environment, ENGRAM_AUTH: 'off' }))).toBe(false);
      expect(isAuthOn(load({ ...environment, ENGRAM_API_KEYS }))).toBe(true);
      expect(isAuthOn(load({ ...environment, ENGRAM_API_KEYS_FILE: '/keys.json' }))).toBe(true);
    },
  );

  test('is also one whose port for operators they reach', () => {
    const reached = { ENGRAM_ADMIN_HOST: '0.0.0.0' };
    expect(() => load({ ...reached, ENGRAM_ADMIN_PORT: '1' })).toThrow('ENGRAM_ADMIN_HOST: others');
    expect(() => load(reached)).not.toThrow();
  });

  test('that is a shard has nothing to guard', () => {
    expect(() => loadSettings('shard', { ENGRAM_HTTP_HOST: '0.0.0.0' })).not.toThrow();
  });
});

describe('a gateway on loopback', () => {
  test.each(['127.0.0.1', '127.8.8.8', 'localhost', '::1'])('%s is open by default', (host) => {
    expect(isAuthOn(loadSettings('gateway', { ENGRAM_HTTP_HOST: host }))).toBe(false);
  });

  test('asks who comes where keys are given, and refuses to be closed to everybody', () => {
    expect(isAuthOn(loadSettings('gateway', { ENGRAM_API_KEYS }))).toBe(true);
    expect(isAuthOn(loadSettings('gateway', { ENGRAM_API_KEYS, ENGRAM_AUTH: 'off' }))).toBe(false);
    expect(() => loadSettings('gateway', { ENGRAM_AUTH: 'on' })).toThrow('nobody to let in');
  });
});

test('a list of keys that is none is named, and not repeated', () => {
  const load = () => loadSettings('gateway', { ENGRAM_API_KEYS: '[{"hash": "my secret"}]' });
  expect(load).toThrow(/ENGRAM_API_KEYS: record 0 of the API keys: hash must be/);
  expect(load).not.toThrow('my secret');
});

describe('tokens', () => {
  const GOOD = {
    ENGRAM_JWT_JWKS_URL: 'https://id.example.org/jwks',
    ENGRAM_JWT_ISSUER: 'https://id.example.org/',
    ENGRAM_JWT_AUDIENCE: 'engram',
  };
  const load = (environment: Record<string, string>) =>
    loadSettings('gateway', { ENGRAM_HTTP_HOST: '0.0.0.0', ...environment });

  test('let callers in as keys do, and take no algorithm of another kind of key', () => {
    expect(isAuthOn(load(GOOD))).toBe(true);
    expect(tokenSettings(load(GOOD))?.algorithms).not.toContain('HS256');
    const { ENGRAM_JWT_JWKS_URL: _url, ...rest } = GOOD;
    const secret = { ...rest, ENGRAM_JWT_SECRET_FILE: '/secret' };
    expect(tokenSettings(load(secret))?.algorithms).toEqual(['HS256']);
    expect(() => load({ ...secret, ENGRAM_JWT_ALGORITHMS: 'HS256,RS256' })).toThrow(
      'ENGRAM_JWT_ALGORITHMS: RS256 does not go with',
    );
    expect(() => load({ ...GOOD, ENGRAM_JWT_ALGORITHMS: 'HS256' })).toThrow('does not go with');
    for (const algorithm of ['none', 'None', '', 'RS256,'])
      expect(() => load({ ...GOOD, ENGRAM_JWT_ALGORITHMS: algorithm })).toThrow('ENGRAM_JWT_ALG');
  });

  test.each([
    [{ ENGRAM_JWT_ISSUER: '' }, 'ENGRAM_JWT_ISSUER'],
    [{ ENGRAM_JWT_JWKS_URL: 'http://id.example.org/jwks' }, 'must begin with https://'],
    [{ ENGRAM_JWT_JWKS_URL: 'file:///etc/passwd' }, 'ENGRAM_JWT_JWKS_URL'],
    [{ ENGRAM_JWT_JWKS_FILE: '/jwks' }, 'ENGRAM_JWT_JWKS_URL: give one of'],
  ])('%j is refused by name', (wrong, named) => {
    expect(() => load({ ...GOOD, ...wrong })).toThrow(named);
  });

  test('need an issuer and an audience, and those need keys', () => {
    const { ENGRAM_JWT_JWKS_URL } = GOOD;
    expect(() => load({ ENGRAM_JWT_JWKS_URL })).toThrow(
      /ENGRAM_JWT_ISSUER: [^]*ENGRAM_JWT_AUDIENCE: /,
    );
    expect(() => load({ ENGRAM_JWT_ISSUER: 'x' })).toThrow('ENGRAM_JWT_ISSUER: tokens need');
  });
});
