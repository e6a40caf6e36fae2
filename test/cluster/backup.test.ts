// A backup as OPERATIONS.md says: the folder of NATS, put in its place again on another machine.

import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestCluster } from '../support/cluster.ts';
import { tempDir } from '../support/temp-dir.ts';

test('a copy of the folder of NATS is the whole cluster, whatever came after it', async () => {
  await using copy = await tempDir();
  const env = { ENGRAM_CHECKPOINT_MS: '500' };
  const rows = Array.from({ length: 300 }, (_, i) => ({ id: `kept-${i}`, embedding: [1, i + 1] }));
  {
    await using running = await startTestCluster({ shards: 2, env });
    const { client, cluster } = running;
    for (const space of ['notes', 'mail']) {
      await client.createSpace(space, { dimension: 2 });
      await client.put(space, rows, { ack: 'searchable' });
    }
    await client.delete('notes', 'kept-0', { ack: 'searchable' });
    cluster.nats.signal('SIGTERM');
    await cluster.nats.exited;
    await cp(join(cluster.dataDir, 'nats'), copy.path, { recursive: true });
    await cluster.nats.start();
    await running.whenSettled();
    await client.put('notes', [{ id: 'late', embedding: [1, 1] }], { ack: 'searchable' });
  }
  await using restored = await startTestCluster({
    shards: 2,
    env,
    prepare: async (folder) => {
      await cp(copy.path, join(folder, 'nats'), { recursive: true });
      return () => Promise.resolve();
    },
  });
  await restored.whenSettled();
  const { client } = restored;
  expect(await client.verify('notes')).toMatchObject({
    ok: true,
    counts: { log: 299, index: 299 },
  });
  expect(await client.verify('mail')).toMatchObject({ ok: true, counts: { log: 300, index: 300 } });
  await expect(client.get('notes', 'late')).rejects.toMatchObject({
    code: 'OBSERVATION_NOT_FOUND',
  });
  // And it goes on from there.
  await client.put('notes', [{ id: 'new', embedding: [1, 1] }], { ack: 'searchable' });
  expect((await client.space('notes')).count).toBe(300);
});
