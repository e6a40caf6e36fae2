import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startService } from '../src/service.ts';
import { FIXTURES, scratch } from './scratch.ts';

const ENV = { ENGRAM_HTTP_HOST: '127.0.0.1', ENGRAM_HTTP_PORT: '0', ENGRAM_MEMBER_ID: 'shard-1' };

test('a service is ready when it says so, and sees only the environment it was given', async () => {
  const logFile = join(scratch(), 'logs', 'shard-1.log');
  const service = await startService({
    kind: 'shard',
    env: ENV,
    entry: FIXTURES.service,
    logFile,
  });
  onTestFinished(() => service.close());
  const seen = (await (await fetch(service.url)).json()) as Record<string, string>;
  expect(seen).toMatchObject(ENV);
  expect(seen).not.toHaveProperty('PATH');
  expect(readFileSync(logFile, 'utf8')).toBe('shard-1 starts\n');
  await service.close();
  expect(await service.exited).toEqual({ code: 0, signal: null });
});

test('a service that ends early fails with the end of its output', async () => {
  const starting = startService({ kind: 'shard', env: ENV, entry: FIXTURES.failing });
  await expect(starting).rejects.toThrow(
    'shard ended with code 3 before it was ready:\nENGRAM_PARTITIONS must be a number',
  );
});

test('a port that is taken after the last look at it is named as one that was taken before', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const env = { ...ENV, ENGRAM_HTTP_PORT: String(port) };
  await expect(startService({ kind: 'shard', env, entry: FIXTURES.service })).rejects.toMatchObject(
    { fault: 'PORT_IN_USE', message: `port ${port} is in use by another program` },
  );
});

test('a service that is never ready is ended at the deadline', async () => {
  const entry = FIXTURES.silent;
  const starting = startService({ kind: 'gateway', env: ENV, entry, deadlineMs: 300 });
  await expect(starting).rejects.toThrow('gateway was not ready within 300 ms');
});

test('a service that is not built is said to be so', async () => {
  const starting = startService({ kind: 'gateway', env: ENV, entry: '/nowhere/main.js' });
  await expect(starting).rejects.toThrow('the gateway is not built: /nowhere/main.js is missing');
});
