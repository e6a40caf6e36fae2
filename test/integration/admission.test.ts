import { writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { connect } from 'nats';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { killMember, revive } from '../support/faults/chaos-cluster.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

let running: TestCluster;
let limits: Awaited<ReturnType<typeof tempDir>>;
let urls: readonly string[];

const LAG_MAX_MS = 200;

beforeAll(async () => {
  limits = await tempDir();
  const file = join(limits.path, 'limits.json');
  await writeFile(file, JSON.stringify({ spaces: { metered: { observationsPerS: 20 } } }));
  running = await startTestCluster({
    shards: 1,
    gateways: 2,
    env: {
      ENGRAM_LAG_NORMAL_MAX_MS: String(LAG_MAX_MS),
      ENGRAM_LANE_LOW_MAX: '400',
      ENGRAM_UNSERVED_GRACE_MS: '300',
      ENGRAM_LIMITS_FILE: file,
    },
  });
  urls = running.cluster.gateways.map(({ url }) => url);
  for (const space of ['notes', 'other', 'metered', 'greedy'])
    await running.client.createSpace(space, { dimension: 4 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await limits[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly retryAfter: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

async function ask(method: string, url: string, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const { code = '', details = {} } = (await response.json()) as Partial<Answer>;
  return {
    status: response.status,
    code,
    details,
    retryAfter: response.headers.get('retry-after'),
  };
}

let written = 0;

function observations(count: number): object {
  const one = () => ({ id: `n${written++ % 20_000}`, embedding: [1, 2, 3, Math.random()] });
  return { observations: Array.from({ length: count }, one) };
}

function write(
  space: string,
  lane = 'normal',
  count = 1,
  { gateway = 0, ack = 'logged' } = {},
): Promise<Answer> {
  const url = `${urls[gateway]!}/v1/spaces/${space}/observations?lane=${lane}&ack=${ack}`;
  return ask('POST', url, observations(count));
}

const forget = (space: string) => ask('DELETE', `${urls[0]!}/v1/spaces/${space}/observations/n1`);

const TAKEN = [200, 202];

async function whenTaken(space = 'notes'): Promise<void> {
  await until('writes are taken again', async () =>
    TAKEN.includes((await write(space, 'low')).status),
  );
}

describe('a cluster that is asked for too much', () => {
  test('says its load on NATS, where anybody can listen', async () => {
    const plain = await connect({ servers: running.cluster.nats.url });
    try {
      const heard = plain.subscribe('engram.signal.>', { max: 1 });
      for await (const message of heard) {
        const signal: unknown = message.json();
        expect(message.subject).toBe(`engram.signal.${running.cluster.shards[0]!.id}`);
        expect(signal).toMatchObject({
          member: running.cluster.shards[0]!.id,
          lanes: { normal: { level: 'normal', cause: 'none', lagMaxMs: LAG_MAX_MS } },
        });
      }
    } finally {
      await plain.close();
    }
  });

  // Spaces share a lane for seconds after they used it: the lane normal is this test's alone.
  test('refuses the lane that waits too long with all that a client needs, and takes the others', async () => {
    const refused = await until('a write is refused', async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => write('notes', 'normal', 5_000)),
      );
      return answers.find(({ status }) => !TAKEN.includes(status));
    });
    expect(refused).toMatchObject({
      status: 429,
      code: 'BACKPRESSURE',
      details: { scope: 'partition', cause: 'lag', lane: 'normal', waitHelps: true },
    });
    const { retryAfterMs, drainRate, batchMax, lanesOpen } = refused.details;
    expect(retryAfterMs).toBeGreaterThanOrEqual(200);
    expect(drainRate).toBeGreaterThan(0);
    expect(batchMax).toBeGreaterThanOrEqual(1);
    expect(lanesOpen).toContain('high');
    expect(Number(refused.retryAfter)).toBe(Math.ceil(Number(retryAfterMs) / 1_000));
    expect(TAKEN).toContain((await write('notes', 'high')).status);
    expect(TAKEN).toContain((await forget('notes')).status);
    await whenTaken();
  });

  test('refuses the space that crowds a lane, and the others never', async () => {
    const stop = new AbortController();
    const quiet = (async () => {
      const answers: Answer[] = [];
      // It waits for the shard: on a busy machine it would crowd the lane itself.
      const ack = 'searchable';
      while (!stop.signal.aborted) answers.push(await write('other', 'low', 10, { ack }));
      return answers;
    })();
    const refused = await until('the greedy space is refused', async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => write('greedy', 'low', 100)),
      );
      return answers.find(({ status }) => !TAKEN.includes(status));
    }).finally(() => stop.abort());
    expect(refused).toMatchObject({
      status: 429,
      code: 'BACKPRESSURE',
      details: { scope: 'space', cause: 'share', lane: 'low', waitHelps: true },
    });
    for (const { status } of await quiet) expect(TAKEN).toContain(status);
    await whenTaken('greedy');
  });

  test('holds a space to its own limit over all gateways, and no other space', async () => {
    await whenTaken('other');
    expect(TAKEN).toContain((await write('metered', 'low', 100)).status);
    for (const gateway of [0, 1]) {
      const refused = await until('what one gateway took is known to both', async () => {
        const answer = await write('metered', 'low', 1, { gateway });
        return answer.status === 429 && answer;
      });
      expect(refused).toMatchObject({
        code: 'RATE_LIMITED',
        details: { scope: 'space', cause: 'rate', waitHelps: true },
      });
      expect(Number(refused.retryAfter)).toBeGreaterThanOrEqual(1);
    }
    const { limited } = await running.client.cluster();
    expect(limited).toContainEqual(
      expect.objectContaining({ scope: 'space', name: 'metered', cause: 'rate' }),
    );
    expect(TAKEN).toContain((await write('other', 'low')).status);
    expect(TAKEN).toContain((await forget('metered')).status);
  });

  test('is not closed by clients that announce much and send nothing', async () => {
    const { port, hostname } = new URL(urls[0]!);
    const head = `POST /v1/spaces/other/observations HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n`;
    const idle = Array.from({ length: 40 }, (_, i) => {
      const socket = connectSocket(Number(port), hostname);
      const length = i % 2 === 0 ? 'transfer-encoding: chunked' : 'content-length: 16777216';
      socket.write(`${head}${length}\r\n\r\n`);
      return socket;
    });
    try {
      await Promise.all(idle.map((socket) => once(socket, 'connect')));
      for (let i = 0; i < 5; i++) expect(TAKEN).toContain((await write('other', 'low')).status);
    } finally {
      for (const socket of idle) socket.destroy();
    }
  });

  test('goes on without Redis, within the limits that each gateway knows', async () => {
    await killMember(running.cluster.redis);
    expect(TAKEN).toContain((await write('other', 'low')).status);
    await write('metered', 'low', 200);
    expect(await write('metered', 'low')).toMatchObject({ status: 429, code: 'RATE_LIMITED' });
    await revive(running.cluster.redis);
    await running.whenSettled();
  });

  test('without a shard takes what will be applied, but not for ever; then deletes alone', async () => {
    const [shard] = running.cluster.shards;
    shard!.signal('SIGSTOP');
    try {
      const low = await until('a silent shard is no shard to rely on', async () => {
        const answer = await write('other', 'low');
        return answer.status === 503 && answer;
      });
      expect(low).toMatchObject({ code: 'PARTITION_UNAVAILABLE' });
      const high = await until('nobody would apply it', async () => {
        const answer = await write('other', 'high');
        return answer.status === 503 && answer;
      });
      expect(high).toMatchObject({
        code: 'PARTITION_UNAVAILABLE',
        details: { scope: 'cluster', cause: 'unserved', lanesOpen: [] },
      });
      expect(Number(high.retryAfter)).toBeGreaterThanOrEqual(1);
      expect(TAKEN).toContain((await forget('other')).status);
    } finally {
      shard!.signal('SIGCONT');
    }
    await running.whenSettled();
    await whenTaken('other');
  });

  test('without NATS takes nothing, deletes included, and says why', async () => {
    await killMember(running.cluster.nats);
    for (const answer of [await write('other', 'high'), await forget('other')]) {
      expect(answer).toMatchObject({
        status: 503,
        code: 'LOG_UNAVAILABLE',
        details: { scope: 'cluster', cause: 'log', waitHelps: true },
      });
      expect(Number(answer.retryAfter)).toBeGreaterThanOrEqual(2);
    }
    await revive(running.cluster.nats);
    await whenTaken('other');
  });
});
