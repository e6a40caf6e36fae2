import { readFileSync } from 'node:fs';
import type { TlsFiles } from '@engram/runtime';
import type { RedisOptions } from 'ioredis';

export interface RedisServer {
  /** `redis://` or `rediss://` for TLS; a user and a password may stand in it. */
  readonly url: string;
  /** Of `rediss://`. */
  readonly tls?: TlsFiles | undefined;
}

/** What the library is told beside the URL. @throws the system's error for a file that is not there */
export function redisAccess({ url, tls = {} }: RedisServer): RedisOptions {
  if (!url.startsWith('rediss:')) return {};
  const { caFile, certFile, keyFile } = tls;
  return {
    tls: {
      ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
      ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
      ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
    },
  };
}
