import { connect } from 'node:net';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freePort } from '../src/loopback-port.ts';
import { natsConfig, startNatsServer } from '../src/nats-server.ts';
import { redisConfig, startRedisServer } from '../src/redis-server.ts';
import { scratch, until } from './scratch.ts';

test('the NATS configuration binds loopback and maps plain subjects to partitions', () => {
  const text = natsConfig({ serverName: 'n', port: 7, dataDir: '/d "x"', partitionCount: 16 });
  expect(text).toContain('listen: "127.0.0.1:7"');
  expect(text).toContain('store_dir: "/d \\"x\\""');
  expect(text).toContain('sync_interval: "1s"');
  expect(text).toContain(
    '"observe.*.*": "obs.{{partition(16,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"',
  );
  expect(text).not.toMatch(/^\s*(http|monitor|websocket|mqtt|leafnodes|cluster)/m);
});

test('the Redis configuration binds loopback, appends every write and evicts nothing', () => {
  const text = redisConfig({ port: 7, dataDir: '/d' });
  for (const line of ['bind 127.0.0.1', 'appendonly yes', 'appendfsync everysec', 'save ""'])
    expect(text).toContain(`\n${line}\n`);
  expect(text).toContain('\nmaxmemory-policy noeviction\n');
});

test('both servers start, answer, keep to loopback, and end', async () => {
  const folder = join(scratch(), 'a folder "with" quotes');
  mkdirSync(folder);
  const [nats, redis] = await Promise.all([
    startNatsServer({ dataDir: join(folder, 'nats'), partitionCount: 64 }),
    startRedisServer({ dataDir: join(folder, 'redis') }),
  ]);
  onTestFinished(async () => void (await Promise.all([nats.close(), redis.close()])));
  expect(nats.url).toBe(`nats://127.0.0.1:${nats.port}`);
  // fnv1a32('words') % 64, as the model package computes it.
  expect(await routedSubject(nats.port, 'observe.normal.words')).toBe('obs.10.normal.words');
  await Promise.all([nats.close(), redis.close()]);
  await Promise.all([nats.exited, redis.exited]);
  expect(nats.signal('SIGTERM')).toBe(false);
});

test('a server whose port is taken fails with the end of its log', async () => {
  const folder = scratch();
  const port = await freePort();
  const first = await startRedisServer({ dataDir: join(folder, 'a'), port });
  onTestFinished(() => first.close());
  const second = startRedisServer({ dataDir: join(folder, 'b'), port });
  await expect(second).rejects.toThrow(/ended with code 1 before it was ready:[^]*bind/);
  const nats = startNatsServer({ dataDir: join(folder, 'c'), port, partitionCount: 64 });
  await expect(nats).rejects.toThrow(/before it was ready:[^]*address already in use/);
});

/** Publishes on a subject and answers under which one the message arrives. */
async function routedSubject(port: number, subject: string): Promise<string | undefined> {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => (received += text));
  socket.write(`CONNECT {"verbose":false}\r\nSUB obs.> 1\r\nPUB ${subject} 2\r\nhi\r\n`);
  await until(() => /^MSG /m.test(received));
  return /^MSG (\S+)/m.exec(received)?.[1];
}
