// A cluster out of single containers by testcontainers: up, import, one shard more, a kill, a cut network, verified.

import { EngramClient } from '@engram/client';
import {
  GenericContainer,
  Network,
  Wait,
  type StartedNetwork,
  type StartedTestContainer,
} from 'testcontainers';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Docker } from './docker.ts';
import { whenServed } from './served.ts';
import { Writing } from './writing.ts';

const engine = inject('engine');
const SPACES = 8;
const ROOT_READY_MS = 120_000;
const SERVED_MS = 120_000;

describe.skipIf(engine === undefined)('a cluster in containers of its own', () => {
  const docker = new Docker(engine ?? {});
  const started: StartedTestContainer[] = [];
  const shards: StartedTestContainer[] = [];
  let network: StartedNetwork;
  let client: EngramClient;
  let writing: Writing;

  const run = async (container: GenericContainer, alias: string) => {
    const running = await container
      .withNetwork(network)
      .withNetworkAliases(alias)
      .withStartupTimeout(ROOT_READY_MS)
      .start();
    started.push(running);
    return running;
  };
  const member = (image: string) =>
    new GenericContainer(image)
      .withEnvironment({
        ENGRAM_NATS_URL: 'nats://nats:4222',
        ENGRAM_REDIS_URL: 'redis://redis:6379',
        ENGRAM_AUTH: 'off',
      })
      .withWaitStrategy(Wait.forLogMessage(/"msg":"ready"/));
  const addShard = async () => {
    shards.push(await run(member('engram-shard'), 'shard'));
  };
  beforeAll(async () => {
    // The library reads them when it is first asked for something; the reaper's image is one more to be pulled.
    Object.assign(process.env, engine, { TESTCONTAINERS_RYUK_DISABLED: 'true' });
    network = await new Network().start();
    await run(new GenericContainer('engram-nats').withWaitStrategy(Wait.forHealthCheck()), 'nats');
    await run(
      new GenericContainer('redis:7.2-bookworm')
        .withCommand(['redis-server', '--save', '', '--protected-mode', 'no'])
        .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/)),
      'redis',
    );
    const gateway = await run(member('engram-gateway').withExposedPorts(7700), 'gateway');
    client = new EngramClient({
      url: `http://${gateway.getHost()}:${gateway.getMappedPort(7700)}`,
      retries: 2,
    });
    await Promise.all([addShard(), addShard()]);
    await whenServed(client, 2, SERVED_MS);
  });

  afterAll(async () => {
    for (const container of started.reverse()) await container.stop({ timeout: 10_000 });
    await network?.stop();
  });

  test('takes a shard more in while data come', async () => {
    writing = Writing.start(client, SPACES);
    await writing.goesOn();
    await addShard();
    await whenServed(client, 3, SERVED_MS);
    await writing.goesOn();
  });

  test('goes on without a shard that is killed', async () => {
    await docker.kill(shards[0]!.getId());
    await whenServed(client, 2, SERVED_MS);
    await writing.goesOn();
  });

  test('goes on without one that is cut off, and takes it back', async () => {
    const cut = shards[1]!.getId();
    await docker.run('network', 'disconnect', network.getName(), cut);
    await whenServed(client, 1, SERVED_MS);
    await writing.goesOn();
    await docker.run('network', 'connect', '--alias', 'shard', network.getName(), cut);
    await whenServed(client, 2, SERVED_MS);
    await writing.goesOn();
  });

  test('has lost nothing', async () => {
    await writing.whole();
    expect((await client.cluster()).degraded).toBe(false);
  });
});
