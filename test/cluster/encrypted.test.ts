// A cluster where nothing goes over a wire that can be read, and everybody has a name and few rights.

import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { mintApiKey, parseGrants } from '@engram/access';
import { startService, type ServerProcess } from '@engram/local-cluster';
import { LogConnection } from '@engram/log';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { connect as connectNats } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runEngram } from '../support/engram-command.ts';
import {
  makeCertificates,
  makeNkey,
  startSecureServers,
  type SecureServers,
} from '../support/secure-servers.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const CLUSTER = 'encrypted';
const nkey = makeNkey();
const passwords = {
  member: 'member-hidden-41',
  publisher: 'publisher-hidden-42',
  nkey: nkey.getPublicKey(),
};
const operator = mintApiKey('operator', parseGrants({ '*': ['admin'] }));

let folder: Awaited<ReturnType<typeof tempDir>>;
let servers: SecureServers;
let gateway: ServerProcess;
let shard: ServerProcess;
/** What has started, also when something after it does not. */
const undo: (() => PromiseLike<void>)[] = [];

beforeAll(async () => {
  folder = await tempDir();
  undo.push(() => folder[Symbol.asyncDispose]());
  servers = await startSecureServers(folder.path, CLUSTER, passwords);
  undo.push(() => servers[Symbol.asyncDispose]());
  shard = await start('shard');
  undo.push(() => shard.close());
  gateway = await start('gateway');
  undo.push(() => gateway.close());
  await until('every partition is served', async () => {
    const { status, text } = await ask('GET', '/readyz');
    return status === 200 && text.includes('"partitionsWithoutShard":0,');
  });
});

afterAll(async () => {
  for (const each of undo.reverse()) await each();
});

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { natsPort, redisPort, caFile, own } = servers;
  return {
    ENGRAM_CLUSTER: CLUSTER,
    ENGRAM_PARTITIONS: '8',
    ENGRAM_WORKERS: '1',
    ENGRAM_NATS_URL: `tls://member:${passwords.member}@localhost:${natsPort}`,
    ENGRAM_REDIS_URL: `rediss://member:${passwords.member}@localhost:${redisPort}`,
    ENGRAM_TLS_CA_FILE: caFile,
    ENGRAM_TLS_CERT_FILE: own.certFile,
    ENGRAM_TLS_KEY_FILE: own.keyFile,
    ENGRAM_HTTP_TLS_CERT_FILE: own.certFile,
    ENGRAM_HTTP_TLS_KEY_FILE: own.keyFile,
    ENGRAM_API_KEYS: JSON.stringify([operator.record]),
    ENGRAM_CHECKPOINT_MS: '200',
    // So that gateways keep their shared counts in Redis too.
    ENGRAM_CALLER_OBSERVATIONS_PER_S: '1000',
    ENGRAM_LOG_LEVEL: 'trace',
    ...more,
  };
}

const logOf = (name: string) => join(folder.path, `${name}.log`);

function start(kind: 'gateway' | 'shard', env = environment(), name: string = kind) {
  return startService({
    kind,
    env: {
      ...env,
      ENGRAM_MEMBER_ID: name,
      ENGRAM_HTTP_PORT: '0',
      ENGRAM_DATA_DIR: join(folder.path, name),
    },
    logFile: logOf(name),
  });
}

async function ask(
  method: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number | undefined; readonly text: string }> {
  const ca = readFileSync(servers.caFile);
  const headers = {
    authorization: `Bearer ${operator.key}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
  };
  return new Promise((resolve, reject) => {
    const url = `https://localhost:${gateway.port}${path}`;
    request(url, { method, headers, ca, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }),
      );
    })
      .on('error', reject)
      .end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test('writes and recalls go their whole way, checkpoints included', async () => {
  expect((await ask('PUT', '/v1/spaces/notes', { dimension: 2 })).status).toBe(201);
  const item = { observations: [{ id: 'a', embedding: [1, 0] }] };
  const written = await ask('POST', '/v1/spaces/notes/observations?ack=searchable', item);
  expect([written.status, written.text]).toEqual([200, expect.stringContaining('"accepted":1')]);
  const found = await ask('POST', '/v1/spaces/notes/recall', { embedding: [1, 0], k: 1 });
  expect(JSON.parse(found.text)).toMatchObject({ results: [{ id: 'a' }], degraded: false });
  await until('a checkpoint is stored by the thread that does that', async () =>
    /engram_checkpoints_total\{[^}]*outcome="stored"[^}]*\} [1-9]/.test(
      await (await fetch(`http://127.0.0.1:${shard.port}/metrics`)).text(),
    ),
  );
});

test('the command line knows the gateway by its certificate, and asks no other', async () => {
  const keyFile = join(folder.path, 'operator.key');
  writeFileSync(keyFile, `${operator.key}\n`, { mode: 0o600 });
  const url = `https://localhost:${gateway.port}`;
  const args = ['spaces', 'list', '--json', '--api-key-file', keyFile];
  const trusting = await runEngram(url, args, { NODE_EXTRA_CA_CERTS: servers.caFile });
  expect([trusting.err, trusting.out]).toEqual(['', expect.stringContaining('"notes"')]);
  const doubting = await runEngram(url, args);
  expect([doubting.code, doubting.out]).toEqual([1, '']);
  expect(doubting.err).toMatch(/a certificate that is not trusted: .+; .*NODE_EXTRA_CA_CERTS=FILE/);
  await expect(fetch(`http://localhost:${gateway.port}/livez`)).rejects.toThrow();
});

test('a publisher may write to its space, and reach neither other spaces nor the log itself', async () => {
  const { natsPort, caFile, own } = servers;
  const nats = await connectNats({
    servers: `localhost:${natsPort}`,
    user: 'publisher',
    pass: passwords.publisher,
    tls: { caFile, ...own },
  });
  try {
    const stream = nats.jetstream();
    const body = JSON.stringify({ observations: [{ id: 'b', embedding: [0, 1] }] });
    const limits = { timeout: 5_000 };
    expect((await stream.publish('observe.high.notes', body, limits)).stream).toBe('OBS-0');
    for (const subject of ['obs.0.high.other', '$JS.API.STREAM.NAMES', 'engram.shard.status'])
      await expect(nats.request(subject, body, limits)).rejects.toMatchObject({
        code: 'PERMISSIONS_VIOLATION',
      });
    // Refused under the name that it is mapped to, so that nobody answers.
    await expect(stream.publish('observe.high.other', body, { timeout: 500 })).rejects.toThrow();
  } finally {
    await nats.close();
  }
});

test('a server that another CA has signed is not believed, and a wrong password is told at once', async () => {
  const { natsPort, caFile, own } = servers;
  const tls = { caFile, ...own };
  const url = `tls://member:${passwords.member}@localhost:${natsPort}`;
  const options = {
    url,
    tls,
    name: 'test',
    connectTimeoutMs: 300,
    clock: systemClock,
    logger: createLogger('test', 'test', 'silent'),
  };
  await using connection = await LogConnection.start(options);
  expect(connection.isConnected).toBe(true);
  const nkeyFile = join(folder.path, 'nkey');
  writeFileSync(nkeyFile, nkey.getSeed());
  const unnamed = { ...options, url: `tls://localhost:${natsPort}` };
  await using signed = await LogConnection.start({ ...unnamed, nkeyFile });
  expect(signed.isConnected).toBe(true);
  const foreign = makeCertificates(join(folder.path, 'foreign'));
  const wrong = [
    { ...options, tls: { ...tls, caFile: foreign.caFile } },
    { ...options, tls: { caFile, ...foreign.own } },
    { ...options, tls: { caFile } },
    {
      ...options,
      url: url.replace(passwords.member, 'wrong-hidden-43'),
      connectTimeoutMs: 600_000,
    },
    { ...unnamed, connectTimeoutMs: 600_000 },
    { ...options, tls: { ...tls, caFile: join(folder.path, 'nothing') } },
  ];
  for (const each of wrong) {
    const error = await LogConnection.start(each).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'LOG_UNAVAILABLE' });
    expect(String(error)).toContain(`tls://localhost:${natsPort}`);
    expect(String(error)).not.toContain('hidden');
  }
});

test('a member that Redis refuses does not start, and says why', async () => {
  const url = environment()['ENGRAM_REDIS_URL']!.replace(passwords.member, 'wrong-hidden-44');
  const env = environment({ ENGRAM_REDIS_URL: url, ENGRAM_CONNECT_TIMEOUT_MS: '500' });
  await expect(start('shard', env, 'refused')).rejects.toThrow(/WRONGPASS/);
  expect(readFileSync(logOf('refused'), 'utf8')).not.toContain('hidden');
});

test('no log has a password, a key or what was written in it', () => {
  for (const name of ['gateway', 'shard']) {
    const text = readFileSync(logOf(name), 'utf8');
    expect(text).toContain('"msg":"ready"');
    expect(text).not.toMatch(/hidden-4\d/);
    expect(text).not.toMatch(/NOPERM/);
    expect(text).not.toContain(operator.key);
    expect(text).not.toContain('"embedding"');
  }
});
