// How the server is told who connects, and checked to be who it says it is.

import { readFileSync } from 'node:fs';
import type { TlsFiles } from '@engram/runtime';
import {
  credsAuthenticator,
  nkeyAuthenticator,
  type ConnectionOptions as NatsOptions,
  type TlsOptions,
} from 'nats';

export interface NatsServer {
  /** `nats://` or `tls://`; a user and a password may stand in it. */
  readonly url: string;
  readonly credsFile?: string | undefined;
  readonly nkeyFile?: string | undefined;
  /** Of `tls://`. */
  readonly tls?: TlsFiles | undefined;
}

/** Files of credentials are read at each connect, so that renewed ones count. */
export function natsAccess({ url, credsFile, nkeyFile, tls }: NatsServer): NatsOptions {
  const { protocol, username, password, host } = new URL(url);
  return {
    servers: host,
    ...(protocol === 'tls:' ? { tls: tlsOptions(tls ?? {}) } : {}),
    ...(username === ''
      ? {}
      : { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
    ...(credsFile === undefined
      ? {}
      : { authenticator: credsAuthenticator(() => readFileSync(credsFile)) }),
    ...(nkeyFile === undefined ? {} : { authenticator: nkeyAuthenticator(() => seedIn(nkeyFile)) }),
    // Else the library gives up for good when credentials are refused twice, as while they are renewed.
    ignoreAuthErrorAbort: true,
  };
}

/** Where the server is, for people: without the password that its URL may have. */
export function placeOf({ url }: NatsServer): string {
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

function tlsOptions({ caFile, certFile, keyFile }: TlsFiles): TlsOptions {
  return {
    ...(caFile === undefined ? {} : { caFile }),
    ...(certFile === undefined ? {} : { certFile }),
    ...(keyFile === undefined ? {} : { keyFile }),
  };
}

function seedIn(file: string): Uint8Array {
  return new TextEncoder().encode(readFileSync(file, 'utf8').trim());
}
