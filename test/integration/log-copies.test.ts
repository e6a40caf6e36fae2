// A log in copies on several servers, which find each other after the members have come.

import { freePort, startNatsServer } from '@engram/local-cluster';
import { agreeOnLayout, LogConnection } from '@engram/log';
import { Scope, systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';

const clock = systemClock;
const LAYOUT = { partitionCount: 8, stripeCount: 1 };
const LIMITS = { bytesMax: 64 * 1024 * 1024, replicas: 3 };

async function servers() {
  const scope = new Scope();
  const folder = await scope.own('folder', tempDir());
  const ports = [await freePort(), await freePort(), await freePort()] as const;
  return {
    start: async (index: 0 | 1 | 2) => {
      const server = await startNatsServer({
        dataDir: `${folder.path}/${index}`,
        partitionCount: LAYOUT.partitionCount,
        cluster: { port: ports[index], ports },
      });
      scope.onClose(`server ${index}`, () => server.close());
      return server;
    },
    connect: (url: string) =>
      scope.own(
        'connection',
        LogConnection.start({
          url,
          name: 'test',
          connectTimeoutMs: 10_000,
          clock,
          logger: createLogger('test', 'test', 'silent'),
        }),
      ),
    [Symbol.asyncDispose]: () => scope[Symbol.asyncDispose](),
  };
}

test('symptom: members ended, with no suitable peers, when they were there before all servers of the log', async () => {
  await using log = await servers();
  const first = await log.start(0);
  const connection = await log.connect(first.url);
  const agreed = agreeOnLayout(connection, LAYOUT, LIMITS, { withinMs: 60_000, clock });
  agreed.catch(() => undefined); // told below
  await log.start(1);
  await log.start(2);
  const id = await agreed;
  expect(await agreeOnLayout(connection, LAYOUT, LIMITS, { withinMs: 0, clock })).toBe(id);
});

test('copies that no server is there for are told as such', async () => {
  await using log = await servers();
  const alone = await log.start(0);
  const connection = await log.connect(alone.url);
  const refused = agreeOnLayout(connection, LAYOUT, LIMITS, { withinMs: 0, clock });
  await expect(refused).rejects.toMatchObject({
    code: 'LOG_UNAVAILABLE',
    hint: expect.stringContaining('ENGRAM_LOG_REPLICAS is 3') as string,
  });
});

test('who is asked to stop while they wait for the others does so at once', async () => {
  await using log = await servers();
  const alone = await log.start(0);
  const connection = await log.connect(alone.url);
  const stop = new AbortController();
  const waiting = agreeOnLayout(connection, LAYOUT, LIMITS, {
    withinMs: 600_000,
    signal: stop.signal,
    clock,
  });
  stop.abort(new Error('asked to stop'));
  await expect(waiting).rejects.toThrow('asked to stop');
});
