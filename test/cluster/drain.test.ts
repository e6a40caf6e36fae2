import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { EngramClient } from '@engram/client';
import { expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.ts';
import { removeAtOnce, tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { loadWords, WORD_DIMENSION } from '../support/words.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SPACES = Array.from({ length: 8 }, (_, i) => `drained-${i}`);

test('symptom: what was written while a shard drained was called applied, and was in no index', async () => {
  const set = await loadWords(4_000, 1);
  await using running = await startTestCluster({ shards: 2 });
  const { cluster } = running;
  for (const space of SPACES)
    await running.client.createSpace(space, { dimension: WORD_DIMENSION });
  const client = new EngramClient({ url: cluster.url, retries: 0 });
  const unseen: string[] = [];
  const stop = new AbortController();
  let written = 0;
  const writing = (async () => {
    for (; !stop.signal.aborted && written < set.words.length; written++) {
      const space = SPACES[written % SPACES.length]!;
      const [id, embedding] = [set.words[written]!, set.embeddings[written]!];
      const { position } = await client.put(space, [{ id, embedding }]);
      const query = { embedding, k: 5, minPosition: position!, waitMs: 5_000 };
      const { results } = await client.recall(space, query);
      if (!results.some((hit) => hit.id === id)) unseen.push(id);
    }
  })();
  await until('every space has something', () => written > 5 * SPACES.length);
  await cluster.removeShard(cluster.shards[1]!.id);
  await running.whenSettled();
  stop.abort();
  await writing;
  expect(unseen).toEqual([]);
  // Who took over restored what the other had stored as applied.
  const counts = await Promise.all(SPACES.map(async (space) => (await client.space(space)).count));
  expect(counts.reduce((sum, each) => sum + each, 0)).toBe(written);
});

test('a shard whose data folder is removed under it ends, and has everything when it begins anew', async () => {
  const set = await loadWords(500, 1);
  await using running = await startTestCluster({ shards: 1, env: { ENGRAM_CHECKPOINT_MS: '500' } });
  const { cluster, client } = running;
  const [shard] = cluster.shards;
  const observations = set.words.map((id, i) => ({ id, embedding: set.embeddings[i]! }));
  await client.createSpace('kept', { dimension: WORD_DIMENSION });
  await client.put('kept', observations.slice(0, 400), { ack: 'searchable' });
  removeAtOnce(join(cluster.dataDir, 'segments', shard!.id));
  expect(await shard!.exited).toMatchObject({ code: 1 });
  await client.put('kept', observations.slice(400));
  await shard!.start();
  await running.whenSettled();
  await until('all of it is searchable', async () => (await client.space('kept')).count === 500);
  expect(await client.verify('kept')).toMatchObject({ ok: true, isExact: true });
});

test.each(['gateway', 'shard'])(
  'a %s that is asked to stop while it waits for NATS ends at once, with code 0',
  async (service) => {
    await using folder = await tempDir();
    // Takes connections and ends them: the member tries again and again.
    const away = createServer((socket) => socket.destroy());
    await once(away.listen(0, '127.0.0.1'), 'listening');
    const { port } = away.address() as AddressInfo;
    const tried = once(away, 'connection');
    const child = spawn(process.execPath, [`${ROOT}services/${service}/dist/main.js`], {
      env: {
        ...process.env,
        ENGRAM_NATS_URL: `nats://127.0.0.1:${port}`,
        ENGRAM_REDIS_URL: `redis://127.0.0.1:${port}`,
        ENGRAM_CONNECT_TIMEOUT_MS: '600000',
        ENGRAM_DRAIN_TIMEOUT_MS: '600000',
        ENGRAM_HTTP_PORT: '0',
        ENGRAM_DATA_DIR: folder.path,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    const told = text(child.stdout);
    try {
      await tried;
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      expect(await told).toContain('stopped before it was ready');
    } finally {
      child.kill('SIGKILL');
      away.close();
    }
  },
);
