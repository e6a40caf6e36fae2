// NATS and Redis as they should be where others reach them: TLS with certificates on both sides, users with
// no more rights than they need. The certificates are made anew, by a CA that nobody else knows.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findNatsServer, findRedisServer, freePort } from '@engram/local-cluster';
import { nkeys } from 'nats';

/** A name that is proven by a signature. The library's own types do not reach this part of it. */
export const { createUser: makeNkey } = nkeys as {
  readonly createUser: () => { getSeed(): Uint8Array; getPublicKey(): string };
};

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface SecureServers extends AsyncDisposable {
  readonly natsPort: number;
  readonly redisPort: number;
  readonly caFile: string;
  /** Of `localhost` and 127.0.0.1, for both ends of a connection. */
  readonly own: Certificate;
}

export interface Passwords {
  readonly member: string;
  readonly publisher: string;
  /** The public one of a member that signs instead. */
  readonly nkey: string;
}

/** @param cluster whose keys the user of Redis may use */
export async function startSecureServers(
  folder: string,
  cluster: string,
  passwords: Passwords,
): Promise<SecureServers> {
  const { caFile, own } = makeCertificates(folder);
  const [natsPort, redisPort] = [await freePort(), await freePort()];
  const nats = await findNatsServer();
  const redis = await findRedisServer();
  const files = { caFile, ...own };
  const children = [
    run(
      folder,
      'nats',
      nats.path,
      ['--config'],
      natsConfig({ folder, natsPort, passwords, files }),
    ),
    run(
      folder,
      'redis',
      redis.path,
      [],
      redisConfig({ folder, redisPort, cluster, passwords, files }),
      redis.libraryPath,
    ),
  ];
  return {
    natsPort,
    redisPort,
    caFile,
    own,
    async [Symbol.asyncDispose]() {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }
    },
  };
}

/** A certificate of `localhost` that a CA of its own has signed. */
export function makeCertificates(folder: string): {
  readonly caFile: string;
  readonly own: Certificate;
} {
  mkdirSync(folder, { recursive: true });
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=engram test CA'];
  openssl('req', '-x509', ...key, ...ca);
  openssl('req', ...key, '-keyout', 'own.key', '-out', 'own.csr', '-subj', '/CN=localhost');
  writeFileSync(file('own.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'own.ext'];
  openssl('x509', '-req', '-in', 'own.csr', '-out', 'own.pem', '-days', '2', ...signed);
  return {
    caFile: file('ca.pem'),
    own: { certFile: file('own.pem'), keyFile: file('own.key') },
  };
}

interface Config {
  readonly folder: string;
  readonly passwords: Passwords;
  readonly files: Certificate & { readonly caFile: string };
}

/** A publisher is judged by the subject that its own is mapped to. */
function natsConfig({ folder, natsPort, passwords, files }: Config & { natsPort: number }): string {
  return `listen: "127.0.0.1:${natsPort}"
max_payload: 1MB
jetstream { store_dir: "${folder}/nats", sync_interval: "1s" }
mappings = { "observe.*.*": "obs.{{partition(8,2)}}.{{wildcard(1)}}.{{wildcard(2)}}" }
tls {
  cert_file: "${files.certFile}", key_file: "${files.keyFile}", ca_file: "${files.caFile}"
  verify: true
}
authorization {
  users = [
    { user: member, password: "${passwords.member}" }
    { nkey: ${passwords.nkey} }
    { user: publisher, password: "${passwords.publisher}", permissions: {
        publish: ["obs.*.*.notes"], subscribe: ["_INBOX.>"] } }
  ]
}
`;
}

/** The rights are those that README.md names. */
function redisConfig(
  config: Config & { readonly redisPort: number; readonly cluster: string },
): string {
  const { folder, redisPort, cluster, passwords, files } = config;
  const place = `engram:{${cluster}}:*`;
  return `port 0
tls-port ${redisPort}
bind 127.0.0.1
dir "${folder}"
save ""
tls-cert-file "${files.certFile}"
tls-key-file "${files.keyFile}"
tls-ca-cert-file "${files.caFile}"
tls-auth-clients yes
user default off
user member on >${passwords.member} ~${place} resetchannels &${place} -@all +@hash +@sortedset +@transaction +eval +time +pexpire +del +publish +subscribe +info +ping
`;
}

function run(
  folder: string,
  name: string,
  program: string,
  args: readonly string[],
  config: string,
  libraryPath?: string,
): ChildProcess {
  const file = join(folder, `${name}.conf`);
  writeFileSync(file, config);
  const log = openSync(join(folder, `${name}.log`), 'a');
  try {
    return spawn(program, [...args, file], {
      stdio: ['ignore', log, log],
      env: libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath },
    });
  } finally {
    closeSync(log);
  }
}
