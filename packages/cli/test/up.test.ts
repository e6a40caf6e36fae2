import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ownIdentity } from '../../runtime/src/process-identity.ts';
import { localUrl } from '../src/local-url.ts';
import { lostKeysText } from '../src/up/lost-keys.ts';
import { whenServed } from '../src/up/served.ts';
import { upSettings } from '../src/up/settings.ts';
import { summaryText } from '../src/up/summary.ts';

/** A gateway that says what the function says of itself and of its partitions. */
async function gateway(say: () => { status: number; unserved: number }): Promise<string> {
  const server = createServer((_request, response) => {
    const { status, unserved } = say();
    response
      .writeHead(status)
      .end(JSON.stringify({ checks: { partitionsWithoutShard: unserved } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const never = new AbortController().signal;

test('a cluster is waited for until all of it is served, until the deadline or until a stop', async () => {
  let asked = 0;
  const answers = [
    { status: 503, unserved: 64 },
    { status: 200, unserved: 64 },
    { status: 200, unserved: 0 },
  ];
  const url = await gateway(() => answers[asked++]!);
  expect(await whenServed(url, { signal: never, deadlineMs: 10_000 })).toBe('served');
  expect(asked).toBe(3);

  const stop = new AbortController();
  const starting = await gateway(() => {
    stop.abort();
    return { status: 503, unserved: 64 };
  });
  expect(await whenServed(starting, { signal: never, deadlineMs: 0 })).toBe('late');
  expect(await whenServed(starting, { signal: stop.signal, deadlineMs: 10_000 })).toBe('stopped');
});

test('up takes the number of partitions and settings of services from the environment', () => {
  const environment = {
    PATH: '/bin',
    ENGRAM_URL: 'x',
    ENGRAM_API_KEY: 'secret',
    ENGRAM_EF: '9',
    ENGRAM_PORT: '127.0.0.1:7700',
    ENGRAM_PARTITIONS: '16',
  };
  const wantsKeys = undefined;
  const services = { ENGRAM_EF: '9' };
  expect(upSettings(environment)).toEqual({ partitionCount: 16, wantsKeys, services });
  expect(upSettings({})).toEqual({ partitionCount: undefined, wantsKeys, services: {} });
  const typed = upSettings({ ENGRAM_REPLICATION: '1' }, 2);
  expect(typed.services).toEqual({ ENGRAM_REPLICATION: '2' });
  for (const text of ['', '0', '4097', '1.5', 'many'])
    expect(() => upSettings({ ENGRAM_PARTITIONS: text })).toThrow(
      `ENGRAM_PARTITIONS must be a whole number from 1 to 4096, not "${text}"`,
    );
});

test('up refuses settings that it decides itself and says what to use instead', () => {
  for (const [name, instead] of Object.entries({
    ENGRAM_HTTP_PORT: '--port',
    ENGRAM_HTTP_HOST: '127.0.0.1 only',
    ENGRAM_MEMBER_ID: '--shards',
    ENGRAM_NATS_URL: '--data',
    ENGRAM_REDIS_URL: '--data',
  }))
    expect(() => upSettings({ [name]: 'x' })).toThrow(
      new RegExp(`^${name} is not for up: .*${instead}.*; unset it$`),
    );
});

test('with keys, up claims no cluster without passwords, and suggests no request that gets 401', () => {
  expect(upSettings({ ENGRAM_API_KEYS_FILE: 'keys.json' }).wantsKeys).toBe(true);
  expect(upSettings({ ENGRAM_API_KEYS: '[]', ENGRAM_AUTH: 'off' }).wantsKeys).toBe(false);
  const url = 'http://127.0.0.1:7700';
  const pages = {
    docs: `${url}/docs`,
    console: `${url}/console`,
    metrics: `${url}/metrics`,
    cluster: `${url}/v1/cluster`,
  };
  const servers = { nats: 'nats://127.0.0.1:1', redis: 'redis://127.0.0.1:2' };
  const members = { gateways: [url], shards: [], dataDir: '/data', supervisor: 1 };
  const summary = { url, ...pages, ...servers, ...members };
  const told = (wantsKeys: boolean) =>
    summaryText({ ...summary, wantsKeys }, { isDetached: false, hasDemo: false });
  expect(told(true)).not.toContain('without passwords');
  expect(told(true)).toContain(`curl -H "Authorization: Bearer $ENGRAM_API_KEY" ${url}/v1/spaces`);
  expect(told(true)).toMatch(/HTTP wants a key[^]*NATS and Redis have no\s+passwords/);
  expect(told(false)).toContain(`curl ${url}/v1/spaces`);
  expect(told(false)).toContain('without passwords');
});

test('a folder that had keys and is started without is warned of, unless auth is off by name', () => {
  const folder = mkdtempSync(join(tmpdir(), 'engram-keyless-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const write = (wantsKeys?: boolean) => {
    const record = { partitionCount: 64, natsPort: 1, redisPort: 2, wantsKeys };
    writeFileSync(join(folder, 'folder.json'), JSON.stringify(record));
  };
  const told = (environment: Record<string, string>) =>
    lostKeysText(folder, upSettings(environment));
  expect(told({})).toBeUndefined();
  write();
  expect(told({})).toBeUndefined();
  write(true);
  expect(told({})).toMatch(/had keys, and starts without: everybody on this machine may do/);
  expect(told({ ENGRAM_AUTH: 'off' })).toBeUndefined();
  expect(told({ ENGRAM_API_KEYS_FILE: 'keys.json' })).toBeUndefined();
  write(false);
  expect(told({})).toBeUndefined();
});

test('the default gateway is the first one of a cluster that runs on the folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'engram-url-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  expect(localUrl(folder)).toBeUndefined();
  const write = (supervisor: object) => {
    const gateways = [10, 2].map((number) => ({
      ...supervisor,
      id: `gateway-${number}`,
      role: 'gateway',
      url: `http://127.0.0.1:${number}`,
    }));
    const state = { supervisor, since: '', partitionCount: 64, members: gateways };
    writeFileSync(join(folder, 'cluster.json'), JSON.stringify(state));
  };
  write({ ...ownIdentity(), startedAt: 'another time' });
  expect(localUrl(folder)).toBeUndefined();
  write(ownIdentity());
  expect(localUrl(folder)).toBe('http://127.0.0.1:2');
});
