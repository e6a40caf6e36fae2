// How members reach NATS and Redis, and callers the gateway, where these ask for more than an address.

import { isIP } from 'node:net';
import { z } from 'zod';

const path = () => z.string().min(1).optional();

export const connectionShape = {
  // A name and a password may stand in either.
  ENGRAM_NATS_URL: z.url({ protocol: /^(nats|tls)$/ }).default('nats://127.0.0.1:4222'),
  ENGRAM_REDIS_URL: z.url({ protocol: /^rediss?$/ }).default('redis://127.0.0.1:6379'),
  ENGRAM_NATS_CREDS_FILE: path(),
  ENGRAM_NATS_NKEY_FILE: path(),
  ENGRAM_TLS_CA_FILE: path(),
  ENGRAM_TLS_CERT_FILE: path(),
  ENGRAM_TLS_KEY_FILE: path(),
  ENGRAM_HTTP_TLS_CERT_FILE: path(),
  ENGRAM_HTTP_TLS_KEY_FILE: path(),
};

export type ConnectionSettings = z.output<z.ZodObject<typeof connectionShape>>;

/** PEM files: whom a member believes, and what it shows of itself. */
export interface TlsFiles {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

export function natsServer(settings: ConnectionSettings) {
  return {
    url: settings.ENGRAM_NATS_URL,
    credsFile: settings.ENGRAM_NATS_CREDS_FILE,
    nkeyFile: settings.ENGRAM_NATS_NKEY_FILE,
    tls: tlsFiles(settings),
  };
}

export function redisServer(settings: ConnectionSettings) {
  return { url: settings.ENGRAM_REDIS_URL, tls: tlsFiles(settings) };
}

/** What is wrong with them together. */
export function connectionProblems(settings: ConnectionSettings): string[] {
  const problems: string[] = [];
  const pair = (one: keyof ConnectionSettings, other: keyof ConnectionSettings) => {
    if (settings[one] !== undefined && settings[other] === undefined)
      problems.push(`${one}: needs ${other} too`);
  };
  pair('ENGRAM_TLS_CERT_FILE', 'ENGRAM_TLS_KEY_FILE');
  pair('ENGRAM_TLS_KEY_FILE', 'ENGRAM_TLS_CERT_FILE');
  pair('ENGRAM_HTTP_TLS_CERT_FILE', 'ENGRAM_HTTP_TLS_KEY_FILE');
  pair('ENGRAM_HTTP_TLS_KEY_FILE', 'ENGRAM_HTTP_TLS_CERT_FILE');
  const nats = new URL(settings.ENGRAM_NATS_URL);
  const ways = [settings.ENGRAM_NATS_CREDS_FILE, settings.ENGRAM_NATS_NKEY_FILE, nats.username];
  if (ways.filter((way) => way !== undefined && way !== '').length > 1)
    problems.push('ENGRAM_NATS_URL: give a name in it, a file of credentials or an nkey, not two');
  // The library takes a certificate of `localhost` for that of any address.
  if (nats.protocol === 'tls:' && isIP(nats.hostname.replace(/^\[|\]$/g, '')) > 0)
    problems.push(
      'ENGRAM_NATS_URL: tls:// needs the name that its certificate has, not an address',
    );
  return problems;
}

function tlsFiles(settings: ConnectionSettings): TlsFiles {
  return {
    caFile: settings.ENGRAM_TLS_CA_FILE,
    certFile: settings.ENGRAM_TLS_CERT_FILE,
    keyFile: settings.ENGRAM_TLS_KEY_FILE,
  };
}
