import { expect, test } from 'vitest';
import { loadSettings } from '../src/settings.ts';

const load = (environment: Record<string, string>) => loadSettings('shard', environment);

test.each([
  [{ ENGRAM_TLS_CERT_FILE: '/c' }, 'ENGRAM_TLS_CERT_FILE: needs ENGRAM_TLS_KEY_FILE'],
  [{ ENGRAM_TLS_KEY_FILE: '/k' }, 'ENGRAM_TLS_KEY_FILE: needs ENGRAM_TLS_CERT_FILE'],
  [{ ENGRAM_HTTP_TLS_CERT_FILE: '/c' }, 'ENGRAM_HTTP_TLS_CERT_FILE: needs'],
  [{ ENGRAM_NATS_URL: 'tls://10.0.0.1:4222' }, 'ENGRAM_NATS_URL: tls:// needs the name'],
  [{ ENGRAM_NATS_URL: 'tls://[::1]:4222' }, 'ENGRAM_NATS_URL: tls:// needs the name'],
  [
    { ENGRAM_NATS_URL: 'nats://a:hidden@nats:4222', ENGRAM_NATS_NKEY_FILE: '/n' },
    'ENGRAM_NATS_URL: give a name in it',
  ],
  [{ ENGRAM_NATS_CREDS_FILE: '/c', ENGRAM_NATS_NKEY_FILE: '/n' }, 'ENGRAM_NATS_URL: give a name'],
  [{ ENGRAM_REDIS_URL: 'http://a:hidden@redis' }, 'ENGRAM_REDIS_URL'],
  [{ ENGRAM_NATS_URL: 'hidden' }, 'ENGRAM_NATS_URL'],
])('%j is refused by name, without its secrets', (wrong, named) => {
  expect(() => load(wrong)).toThrow(named);
  expect(() => load(wrong)).not.toThrow('hidden');
});

test('passwords, certificates and credentials may stand where they belong', () => {
  const settings = load({
    ENGRAM_NATS_URL: 'tls://nats:4222',
    ENGRAM_REDIS_URL: 'rediss://member:secret@10.0.0.1:6379',
    ENGRAM_NATS_CREDS_FILE: '/creds',
    ENGRAM_TLS_CERT_FILE: '/c',
    ENGRAM_TLS_KEY_FILE: '/k',
  });
  expect(settings.ENGRAM_NATS_CREDS_FILE).toBe('/creds');
});
