import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as openSocket } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { TailEvent, TailOptions } from '@engram/client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { connect } from 'nats';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

// Following a space over HTTP: what comes, from where, and how it ends.

const MAIN = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));

let running: TestCluster;

beforeAll(async () => {
  running = await startTestCluster({ shards: 1, gateways: 2 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

interface Followed {
  readonly events: TailEvent[];
  /** What it ended with. */
  error: unknown;
}

/** Follows until the test ends, and is known to have begun. */
async function follow(space: string, options: TailOptions = {}): Promise<Followed> {
  const stop = new AbortController();
  const followed: Followed = { events: [], error: undefined };
  const done = (async () => {
    try {
      for await (const event of running.client.tail(space, { ...options, signal: stop.signal }))
        followed.events.push(event);
    } catch (error) {
      followed.error = error;
    }
  })();
  onTestFinished(async () => {
    stop.abort();
    await done;
  });
  await until('it has begun', () => followed.events.length > 0 || followed.error !== undefined);
  return followed;
}

async function untilCount({ events }: Followed, count: number): Promise<TailEvent[]> {
  await until(`${count} events`, () => events.length >= count);
  return events;
}

test('puts, deletes and what is refused are told in the order of the log, and only from now on', async () => {
  const { client, cluster } = running;
  await client.createSpace('followed', { dimension: 2 });
  await client.put('followed', [{ id: 'before', embedding: [1, 0] }]);
  const followed = await follow('followed');
  const metadata = { topic: 'tea' };
  await client.put('followed', [{ id: 'a', embedding: [1, 0], metadata, timestamp: 7 }]);
  await client.put('followed', [{ id: 'b', embedding: [0, 1], lane: 'low' }]);
  await client.delete('followed', 'a');
  const plain = await connect({ servers: cluster.nats.url });
  onTestFinished(() => plain.close());
  const mixed = '{"observations":[{"id":"c","embedding":[1,2]},{"id":"d","embedding":[1]}]}';
  await plain.jetstream().publish('observe.normal.followed', mixed);
  await client.createSpace('other', { dimension: 2 });
  await client.put('other', [{ id: 'x', embedding: [1, 0] }]);
  await client.put('followed', [{ id: 'last', embedding: [1, 0] }]);
  const events = await untilCount(followed, 7);
  expect(events).toMatchObject([
    { op: 'start' },
    { op: 'put', id: 'a', lane: 'normal', metadata, timestamp: 7 },
    { op: 'put', id: 'b', lane: 'low' },
    { op: 'delete', id: 'a', lane: 'high' },
    { op: 'put', id: 'c', lane: 'normal' },
    { op: 'rejected', count: 1 },
    { op: 'put', id: 'last' },
  ]);
  expect(events[1]).not.toHaveProperty('embedding');
});

test('a position or a time goes on where it was, with embeddings where they are asked for', async () => {
  const { client } = running;
  await client.createSpace('resumed', { dimension: 2 });
  const since = new Date();
  const { position } = await client.put('resumed', [{ id: 'a', embedding: [1, 0] }]);
  await client.put('resumed', [{ id: 'b', embedding: [0, 0.5] }]);
  const behind = await follow('resumed', { position: position!, embeddings: true });
  expect(await untilCount(behind, 2)).toMatchObject([
    { op: 'start' },
    { id: 'b', embedding: Float32Array.of(0, 0.5) },
  ]);
  const all = await follow('resumed', { since: new Date(since.getTime() - 1_000) });
  const events = await untilCount(all, 3);
  expect(events).toMatchObject([{ op: 'start' }, { id: 'a' }, { id: 'b' }]);
  const rest = await follow('resumed', { position: events[1]!.position });
  expect(await untilCount(rest, 2)).toMatchObject([{ op: 'start' }, { id: 'b' }]);
});

test('what cannot be followed is refused with the field', async () => {
  const { client } = running;
  await client.createSpace('refused', { dimension: 2 });
  const url = `${running.cluster.url}/v1/spaces/refused/tail`;
  for (const [query, pointer] of [
    ['since=yesterday', '#since'],
    ['position=1', '#position'],
    ['position=63-1.1.1', '#position'],
    ['position=63-1.1.1&since=2026-01-01', '#since'],
  ])
    expect(await (await fetch(`${url}?${query}`)).json()).toMatchObject({
      status: 400,
      errors: [{ pointer }],
    });
  await expect(client.tail('nowhere').next()).rejects.toMatchObject({ code: 'SPACE_NOT_FOUND' });
});

test('a gateway follows so many and no more, and a client that leaves makes room', async () => {
  const { client, cluster } = running;
  await client.createSpace('crowded', { dimension: 2 });
  const leave = new AbortController();
  const url = `${cluster.url}/v1/spaces/crowded/tail`;
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => fetch(url, { signal: leave.signal })),
  );
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThanOrEqual(40 - 32);
  expect(answers.filter(({ ok }) => ok).length).toBeGreaterThan(20);
  expect(refused[0]?.headers.get('retry-after')).toBeTruthy();
  leave.abort();
  await until('there is room again', async () => {
    const again = await fetch(url);
    await again.body?.cancel();
    return again.ok;
  });
});

test('it ends when the space is deleted', async () => {
  const { client } = running;
  await client.createSpace('short', { dimension: 2 });
  const followed = await follow('short');
  await client.deleteSpace('short');
  await until('it has ended', () => followed.error !== undefined);
  expect(followed.error).toMatchObject({ code: 'SPACE_NOT_FOUND' });
});

test('a space that is made anew meanwhile ends it before an entry of the new one is shown', async () => {
  const { client, cluster } = running;
  const plain = await connect({ servers: cluster.nats.url });
  onTestFinished(() => plain.close());
  for (const publisher of ['gateway', 'nats']) {
    const space = `anew-${publisher}`;
    await client.createSpace(space, { dimension: 2 });
    const followed = await follow(space);
    await client.put(space, [{ id: 'old', embedding: [1, 0] }]);
    await untilCount(followed, 2);
    await client.deleteSpace(space);
    await client.createSpace(space, { dimension: 3 });
    // By the old dimension it would be told as rejected.
    const body = '{"id":"new","embedding":[1,0,0]}';
    if (publisher === 'nats') await plain.jetstream().publish(`observe.normal.${space}`, body);
    else await client.put(space, [{ id: 'new', embedding: [1, 0, 0] }]);
    await until('it has ended', () => followed.error !== undefined);
    expect(followed.error).toMatchObject({
      code: 'SPACE_NOT_FOUND',
      message: 'the space was made anew meanwhile',
    });
    expect(followed.events).toMatchObject([{ op: 'start' }, { op: 'put', id: 'old' }]);
  }
});

test('engram tail prints lines, and ends with exit code 0 when it is asked to stop', async () => {
  const { client, cluster } = running;
  await client.createSpace('printed', { dimension: 2 });
  const child = spawn(process.execPath, [MAIN, 'tail', 'printed'], {
    env: { ...process.env, ENGRAM_URL: cluster.url, NO_COLOR: '1' },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  await until('it follows', () => err.includes('following printed'));
  await client.put('printed', [{ id: 'n1', embedding: [1, 0], metadata: { topic: 'tea' } }]);
  await client.delete('printed', 'n1');
  await until('both are told', () => out.split('\n').length > 2);
  expect(out).toMatch(/normal {2}\+ n1 {2}\{"topic":"tea"\}\n.* high {4}- n1\n/);
  child.kill('SIGINT');
  await until('it has ended', () => child.exitCode !== null);
  expect([child.exitCode, err.trim().split('\n').length]).toEqual([0, 1]);
});

test('a gateway that drains says so to who follows, and waits for no connection that asks nothing', async () => {
  const { client, cluster } = running;
  await client.createSpace('drained', { dimension: 2 });
  const gateway = cluster.gateways[1]!;
  const { hostname, port } = new URL(gateway.url);
  const silent = openSocket(Number(port), hostname);
  onTestFinished(() => void silent.destroy());
  await once(silent, 'connect');
  const response = await fetch(`${gateway.url}/v1/spaces/drained/tail`);
  expect(gateway.signal('SIGTERM')).toBe(true);
  const lines = (await response.text()).trim().split('\n');
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ error: { code: 'SHUTTING_DOWN' } });
  expect(await gateway.exited).toMatchObject({ code: 0 });
});
