import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { killMember } from '../support/faults/chaos-cluster.ts';
import { counted, logState } from '../support/inspect.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

// A machine of NATS that loses power comes back without what its disk had not got yet. Here the files of a
// moment ago are put back; the shards run on, and have applied what is gone.

const SPACES = ['one', 'two', 'three'];
const COUNT = 15;

/** One entry of the log for each id. */
async function write({ client }: TestCluster, prefix: string, value: number): Promise<void> {
  for (const space of SPACES)
    for (let i = 0; i < COUNT; i++)
      await client.put(space, [{ id: `${prefix}${i}`, embedding: [value, i] }]);
}

test.each([
  ['all that NATS had', ''],
  ['the log, and what is stored of it is newer', join('jetstream', '$G', 'streams', 'OBS-0')],
])('what a log lost is in no index, and nothing that came after: %s', async (_, lost) => {
  const running = await startTestCluster({ shards: 2, env: { ENGRAM_CHECKPOINT_MS: '200' } });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const { cluster, client } = running;
  const stored = () =>
    until('all is stored', async () => (await counted(running, 'checkpoint_age_seconds')) === 0);
  const folder = join(cluster.dataDir, 'nats', lost);
  const copy = await tempDir();
  onTestFinished(() => copy[Symbol.asyncDispose]());

  for (const space of SPACES) await client.createSpace(space, { dimension: 2, metric: 'l2' });
  await write(running, 'kept-', 1);
  await stored();
  await killMember(cluster.nats);
  expect(existsSync(folder)).toBe(true);
  cpSync(folder, copy.path, { recursive: true });
  await cluster.nats.start();
  await running.whenSettled();
  const { last_seq: kept } = await logState(running);

  await write(running, 'lost-', 2);
  await write(running, 'kept-', 2);
  await stored();
  expect(await counted(running, 'log_rewinds_total')).toBe(0);
  await killMember(cluster.nats);
  rmSync(folder, { recursive: true });
  cpSync(copy.path, folder, { recursive: true });
  await cluster.nats.start();
  await until('the log is there', async () => (await logState(running)).last_seq === kept);
  // Takes the sequences that were lost, and more of them.
  for (const prefix of ['new-', 'lost-', 'late-']) await write(running, prefix, 3);
  await until(
    'all noticed it',
    // A shard whose connection comes twice may notice it twice.
    async () => (await counted(running, 'log_rewinds_total')) >= cluster.shards.length,
  );
  await running.whenSettled();

  for (const space of SPACES) {
    await until('the index is as the log', async () => (await client.verify(space)).ok);
    for (const [prefix, value] of [
      ['kept-', 1],
      ['new-', 3],
      ['lost-', 3],
      ['late-', 3],
    ] as const)
      for (let i = 0; i < COUNT; i++)
        expect((await client.get(space, `${prefix}${i}`)).embedding?.[0]).toBe(value);
  }
  // Nor does it come back from what was stored of it.
  for (const shard of cluster.shards) {
    await killMember(shard);
    await shard.start();
  }
  await running.whenSettled();
  for (const space of SPACES)
    expect(await client.verify(space)).toMatchObject({ ok: true, counts: { log: 4 * COUNT } });
});
