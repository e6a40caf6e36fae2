import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { VerifyResult } from '@engram/client';
import { parseSpaceId, partitionOf, type Observation } from '@engram/model';
import { connect, type JetStreamManager, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { removeAtOnce, tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

// Where the log was trimmed a checkpoint tells what there was. They are stored here after each mebibyte,
// and by no clock: what is planted after that stays in the log.

const DIMENSION = 256;
/** A little more than a mebibyte. */
const ROWS = 1_100;
/** More than are looked at again. */
const MANY = 10_500;
const SPACE = 'trimmed';

let blobs: Awaited<ReturnType<typeof tempDir>>;
let running: TestCluster;
let plain: NatsConnection;
let manager: JetStreamManager;

beforeAll(async () => {
  blobs = await tempDir();
  running = await startTestCluster({
    shards: 2,
    env: {
      ENGRAM_BLOB_STORE: blobs.path,
      ENGRAM_CHECKPOINT_MS: '3600000',
      ENGRAM_CHECKPOINT_BYTES: String(1024 * 1024),
      ENGRAM_LOG_KEEP_MS: '0',
      // Files of rows beside the small ones that stand in the checkpoint itself.
      ENGRAM_SEGMENT_BYTES_MAX: String(1024 * 1024),
      ENGRAM_GRAPH_THRESHOLD: '500',
      ENGRAM_LEASE_TTL_MS: '60000',
    },
  });
  plain = await connect({ servers: running.cluster.nats.url });
  manager = await plain.jetstreamManager();
});

afterAll(async () => {
  await plain.close();
  await running[Symbol.asyncDispose]();
  await blobs[Symbol.asyncDispose]();
});

const rows = (prefix: string, count: number, value: number): Observation[] =>
  Array.from({ length: count }, (_, i) => ({
    id: `${prefix}${i}`,
    embedding: new Float32Array(DIMENSION).fill(value + i / count),
  }));

const verify = (): Promise<VerifyResult> => running.client.verify(SPACE);

async function firstSequence(): Promise<number> {
  return (await manager.streams.info('OBS-0')).state.first_seq;
}

async function put(observations: Observation[]): Promise<number> {
  await running.client.put(SPACE, observations, { ack: 'searchable' });
  return (await manager.streams.info('OBS-0')).state.last_seq;
}

test('a space whose log was trimmed is verified id by id', async () => {
  const { client } = running;
  await client.createSpace(SPACE, { dimension: DIMENSION, metric: 'l2' });
  for (let from = 0; from < MANY; from += 500) await put(rows(`many-${from}-`, 500, 1));
  for (let round = 1; round <= 4; round++) {
    await put(rows('again-', ROWS, round));
    await put(rows(`only-${round}-`, 50, round));
    await client.delete(SPACE, `only-${round}-7`);
  }
  const late = await put(rows('late-', 20, 9));
  await until('all of that is trimmed', async () => {
    await put(rows('again-', ROWS, 5));
    return (await firstSequence()) > late;
  });
  await put(rows('tail-', 3, 1));
  await client.delete(SPACE, 'tail-0');
  const count = MANY + ROWS + 4 * 49 + 20 + 2;
  const exact = {
    ok: true,
    isExact: true,
    basis: 'checkpoint',
    counts: { log: count, index: count },
    reasons: [],
  };
  expect(await verify()).toMatchObject(exact);
  // When the earlier one is gone the later one tells.
  const kv = await plain.jetstream().views.kv('engram-partitions');
  const record = await kv.get(String(partitionOf(parseSpaceId(SPACE), 64)));
  const { previous } = record!.json<{ readonly previous: { readonly name: string } }>();
  const [folder] = readdirSync(blobs.path);
  rmSync(join(blobs.path, folder!, previous.name), { force: true });
  expect(await verify()).toMatchObject(exact);
});

test('differences are found in what is still in the log', async () => {
  const extra = await put(rows('extra-', 1, 1));
  const overwrite = await put(rows('late-', 1, 1));
  for (const sequence of [extra, overwrite]) await manager.streams.deleteMessage('OBS-0', sequence);
  const result = await verify();
  expect(result).toMatchObject({
    ok: false,
    isExact: true,
    basis: 'checkpoint',
    totals: { missing: 0, extra: 1, stale: 1 },
    extra: [{ id: 'extra-0', found: extra }],
    stale: [{ id: 'late-0', found: overwrite }],
  });
  expect(result.stale[0]!.expected).toBeLessThan(extra);
});

test('entries that a killed nats-server brought back are not taken for what the log says', async () => {
  const { cluster } = running;
  await put(rows('extra-', 1, 2));
  await put(rows('late-', 1, 2));
  cluster.nats.signal('SIGKILL');
  await cluster.nats.exited;
  await cluster.nats.start();
  await running.whenSettled();
  expect(await until('it is asked', verify)).toMatchObject({ ok: true, isExact: true });
});

test('without its checkpoints nothing is made up', async () => {
  removeAtOnce(blobs.path);
  const result = await verify();
  expect(result).toMatchObject({
    ok: true,
    isExact: false,
    basis: 'log',
    totals: { missing: 0, extra: 0, stale: 0 },
  });
  expect(result.counts.index).toBeGreaterThan(MANY);
  expect(result.reasons[0]).toContain('what stood between is not known');
  expect(result.reasons[1]).toMatch(/^1\d{4} ids are older than the log$/);
  expect(result.reasons).toHaveLength(2);
});
