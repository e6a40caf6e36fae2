import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
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
