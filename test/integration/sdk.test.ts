import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { NatsWriter } from '@engram/client/nats';
import { perLane } from '@engram/model';
import { connect } from 'nats';
import ts from 'typescript';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { tempDir } from '../support/temp-dir.ts';

// The SDK against a real cluster, and the example that its README shows.

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CLIENT = join(ROOT, 'packages/client/dist/index.js');

let running: TestCluster;

beforeAll(async () => {
  running = await startTestCluster({ shards: 1 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

test('the example of the README runs as it stands', async () => {
  const readme = await readFile(join(ROOT, 'packages/client/README.md'), 'utf8');
  const example = /```ts\n([^]*?)```/.exec(readme)?.[1] ?? '';
  const { outputText } = ts.transpileModule(example, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const code = outputText
    .replace("'@engram/client'", `'${pathToFileURL(CLIENT).href}'`)
    .replace('http://127.0.0.1:7700', running.cluster.url);
  await using folder = await tempDir();
  const file = join(folder.path, 'example.mjs');
  await writeFile(file, code);
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    expect(log.mock.calls.map((call) => call.join(' '))).toEqual(['n1 0.99 tea', 'n2 0.27 music']);
  } finally {
    log.mockRestore();
  }
  expect((await running.client.space('notes')).count).toBe(5_002);
});

test('a producer writes every observation once, and its acknowledgements lead to them', async () => {
  const { client } = running;
  await client.createSpace('produced', { dimension: 2 });
  const source = Array.from({ length: 2_500 }, (_, i) => ({
    id: `o${i % 2_000}`,
    embedding: [i + 1, 1],
    metadata: { i },
  }));
  await using producer = client.producer('produced', { maxBatchCount: 300 });
  let accepted = 0;
  let position = '';
  for await (const batch of producer.from(source)) {
    accepted += batch.accepted;
    position = batch.position ?? position;
  }
  expect(accepted).toBe(2_500);
  const query = { embedding: [1, 0], k: 1, minPosition: position, waitMs: 20_000 };
  await client.recall('produced', query);
  expect((await client.space('produced')).count).toBe(2_000);
  expect(await client.get('produced', 'o499')).toMatchObject({ metadata: { i: 2_499 } });
  expect(await client.verify('produced')).toMatchObject({ ok: true });
});

test('what is written over NATS is stored once, found by its position, and refused by item', async () => {
  const { client, cluster } = running;
  await client.createSpace('direct', { dimension: 2 });
  await using writer = await NatsWriter.connect({ url: cluster.nats.url });
  const observations = [
    { id: 'a', embedding: [1, 0], metadata: { n: 1 } },
    { id: 'b', embedding: [0, 1], lane: 'low' as const },
    { id: 'c', embedding: [1] },
  ];
  const options = { requestId: 'once', onPartial: 'return' } as const;
  const first = await writer.put('direct', observations, options);
  expect(first).toMatchObject({
    accepted: 2,
    rejected: 1,
    errors: [{ index: 2, id: 'c', code: 'DIMENSION_MISMATCH' }],
  });
  const again = await writer.put('direct', observations, options);
  expect(again.position).toBe(first.position);
  await expect(writer.put('direct', observations, { requestId: 'once' })).rejects.toThrow(
    /^1 of 3 observations were refused: DIMENSION_MISMATCH at 2/,
  );
  await expect(writer.put('direct', [{ id: '', embedding: [1, 0] }])).rejects.toMatchObject({
    code: 'NOTHING_ACCEPTED',
    cause: { result: { errors: [{ index: 0, pointer: '/observations/0/id' }] } },
  });
  await expect(writer.put('direct', [])).rejects.toMatchObject({ code: 'EMPTY_BATCH' });
  await expect(writer.put('direct', observations, { ack: 'searchable' })).rejects.toThrow(
    /^over NATS the ack is logged/,
  );
  const query = { embedding: [1, 0], k: 5, minPosition: first.position!, waitMs: 20_000 };
  const { results } = await client.recall('direct', query);
  expect(results.map(({ id }) => id)).toEqual(['a', 'b']);
  expect((await client.verify('direct')).entries).toBe(2);
  await using producer = writer.producer('direct', { maxBatchCount: 200 });
  const source = Array.from({ length: 1_000 }, (_, i) => ({ id: `o${i}`, embedding: [i + 1, 1] }));
  let position = '';
  for await (const batch of producer.from(source)) position = batch.position ?? position;
  await client.recall('direct', { ...query, minPosition: position });
  expect((await client.space('direct')).count).toBe(1_002);
  await expect(writer.put('no space', source)).rejects.toMatchObject({
    code: 'INVALID_SPACE_NAME',
  });
});

test('the same key in another space, or with other observations, was acknowledged over NATS and not stored', async () => {
  const { client, cluster } = running;
  await using writer = await NatsWriter.connect({ url: cluster.nats.url });
  const write = async (space: string, id: string) => {
    await client.createSpace(space, { dimension: 2 });
    const options = { requestId: 'same' };
    const { position } = await writer.put(space, [{ id, embedding: [1, 0] }], options);
    const query = { embedding: [1, 0], k: 5, minPosition: position!, waitMs: 20_000 };
    return (await client.recall(space, query)).results.map((result) => result.id);
  };
  expect(await write('keyed', 'a')).toEqual(['a']);
  expect(await write('keyed', 'b')).toEqual(['a', 'b']);
  expect(await write('keyed-too', 'a')).toEqual(['a']);
});

test('who writes over NATS is refused while the shard says so, and a producer waits for it', async () => {
  const { client, cluster } = running;
  await client.createSpace('slowed', { dimension: 2 });
  await using writer = await NatsWriter.connect({ url: cluster.nats.url });
  const plain = await connect({ servers: cluster.nats.url });
  const late = { level: 'overloaded', cause: 'lag', fill: 1, waiting: 9, lagMs: 900 };
  const lane = { ...late, drainRate: 10, lagMaxMs: 1_000 };
  const signal = { member: 'shard-1', count: 1, lanes: perLane(() => lane) };
  // Newer than all that the shard itself says, until it is too old to count.
  plain.publish(
    'engram.signal.shard-1',
    JSON.stringify({ ...signal, startedAt: Date.now() + 3_600_000 }),
  );
  await plain.drain();
  const one = [{ id: 'a', embedding: [1, 0] }];
  await expect(
    (async () => {
      for (;;) await writer.put('slowed', one);
    })(),
  ).rejects.toMatchObject({ code: 'BACKPRESSURE', details: { batchMax: 1 } });
  await using producer = writer.producer('slowed');
  await producer.write({ id: 'b', embedding: [0, 1] });
  expect(await producer.flush()).toMatchObject({ accepted: 1 });
});
