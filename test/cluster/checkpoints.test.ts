import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngramClient } from '@engram/client';
import { ClusterError, parseSpaceId, partitionOf } from '@engram/model';
import { connect } from 'nats';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { counted, logState } from '../support/inspect.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { forEachParallel, loadWords, WORD_DIMENSION, type WordSet } from '../support/words.ts';

const SPACES = ['large', 'small-1', 'small-2', 'small-3'];
const COUNT = 3_600;
const BATCH = 200;
/** A checkpoint soon after each entry, and nothing kept in the log that two of them have. */
const EAGER = { ENGRAM_CHECKPOINT_MS: '300', ENGRAM_LOG_KEEP_MS: '0' };

/** What a space must have: the number of the embedding under each id, or that it is deleted. */
type Model = Map<string, Map<string, number | 'deleted'>>;

async function start(shards: number, env: Readonly<Record<string, string>>): Promise<TestCluster> {
  const running = await startTestCluster({ shards, env: { ...EAGER, ...env } });
  onTestFinished(() => running[Symbol.asyncDispose]());
  for (const space of SPACES)
    await running.client.createSpace(space, { dimension: WORD_DIMENSION });
  return running;
}

/** Two thirds into the large space, then some of it again and some of it deleted. */
async function write(client: EngramClient, set: WordSet, from: number, model: Model) {
  for (let at = from; at < from + COUNT / 2; at += BATCH) {
    const space =
      (at / BATCH) % 3 < 2 ? SPACES[0]! : SPACES[1 + ((at / BATCH) % (SPACES.length - 1))]!;
    const known = model.get(space) ?? new Map<string, number | 'deleted'>();
    model.set(space, known);
    const rows = Array.from({ length: BATCH }, (_, i) => at + i);
    await client.put(
      space,
      rows.map((row) => ({ id: set.words[row]!, embedding: set.embeddings[row]! })),
    );
    for (const row of rows) known.set(set.words[row]!, row);
    const again = [...known.keys()].filter((id) => known.get(id) !== 'deleted').slice(0, 20);
    await client.put(
      space,
      again.map((id, i) => ({ id, embedding: set.embeddings[at + i]! })),
    );
    again.forEach((id, i) => known.set(id, at + i));
    const living = [...known.keys()].filter((id) => known.get(id) !== 'deleted');
    for (const id of living.slice(20, 23)) {
      await client.delete(space, id);
      known.set(id, 'deleted');
    }
  }
}

async function expectModel(client: EngramClient, set: WordSet, model: Model): Promise<void> {
  for (const [space, known] of model) {
    const wrong: string[] = [];
    await forEachParallel([...known], 8, async ([id, row]) => {
      const found = await client.get(space, id).catch((error: unknown) => {
        if (ClusterError.from(error).code === 'OBSERVATION_NOT_FOUND') return undefined;
        throw error;
      });
      const expected = row === 'deleted' ? undefined : set.embeddings[row];
      if (found?.embedding?.[0] !== expected?.[0] || found?.embedding?.[7] !== expected?.[7])
        wrong.push(`${id} ${row} ${found?.embedding?.[0]}`);
    });
    expect(wrong, space).toEqual([]);
    const living = [...known.values()].filter((row) => row !== 'deleted');
    expect((await client.space(space)).count, space).toBe(living.length);
  }
}

/** Entries that change nothing, so that there is something for the next checkpoint. */
async function nudge(client: EngramClient): Promise<void> {
  for (const space of SPACES) await client.delete(space, 'no such id');
}

/** Nothing is left in the log of what stands in it now. */
async function whenTrimmed(running: TestCluster): Promise<void> {
  const { last_seq: last } = await logState(running);
  await until('the log is trimmed', async () => {
    await nudge(running.client);
    return (await logState(running)).first_seq > last;
  });
}

async function killAll({ cluster }: TestCluster): Promise<void> {
  for (const shard of cluster.shards) {
    shard.signal('SIGKILL');
    await shard.exited;
  }
}

/** Files on the machine of a shard that a next one might use. */
function forget({ cluster }: TestCluster): void {
  rmSync(join(cluster.dataDir, 'segments'), { recursive: true, force: true });
}

/** Nothing that a shard wrote stands in them any more. */
async function loseRecords({ cluster }: TestCluster): Promise<void> {
  const nc = await connect({ servers: cluster.nats.url });
  try {
    const kv = await nc.jetstream().views.kv('engram-partitions');
    const keys: string[] = [];
    for await (const key of await kv.keys()) keys.push(key);
    expect(keys.length).toBeGreaterThanOrEqual(SPACES.length);
    const before = await Promise.all(keys.map(async (key) => (await kv.get(key))!.string()));
    const isStored = (text: string) => text.includes('"current"');
    const ofAnother = (text: string) => before.find((each) => isStored(each) && each !== text)!;
    const garbage = ['null', 'not json', '{"epoch":"x","trimmedTo":"y","writer":5}', ofAnother];
    for (const [i, key] of keys.entries()) {
      const text = before[i]!;
      const instead = garbage[i % garbage.length]!;
      // What was never stored could be anything.
      if (!isStored(text)) await kv.delete(key);
      else await kv.put(key, typeof instead === 'string' ? instead : instead(text));
    }
    await kv.delete(String(partitionOf(parseSpaceId(SPACES[1]!), 64)));
  } finally {
    await nc.close();
  }
}

/** Neither the spaces nor that any were deleted; nobody is there who knows them. */
async function loseSpaces({ cluster }: TestCluster): Promise<void> {
  for (const gateway of cluster.gateways) {
    gateway.signal('SIGKILL');
    await gateway.exited;
  }
  const nc = await connect({ servers: cluster.nats.url });
  try {
    await (await nc.jetstreamManager()).streams.delete('KV_engram-spaces');
    const kv = await nc.jetstream().views.kv('engram-spaces');
    await kv.put(SPACES[0]!, 'not json');
  } finally {
    await nc.close();
  }
}

describe('checkpoints', () => {
  test('in NATS are what a killed cluster comes back from, with files and without them and their records, though the log is trimmed', async () => {
    const set = await loadWords(COUNT, 10);
    const running = await start(2, {});
    const { cluster, client } = running;
    const model: Model = new Map();
    await write(client, set, 0, model);
    await whenTrimmed(running);
    await killAll(running);
    await Promise.all(cluster.shards.map((shard) => shard.start()));
    await running.whenSettled();
    await expectModel(client, set, model);
    expect(await counted(running, 'restores_total{from="current"')).toBeGreaterThan(0);
    await write(client, set, COUNT / 2, model);
    await whenTrimmed(running);
    await killAll(running);
    forget(running);
    await loseRecords(running);
    await loseSpaces(running);
    await cluster.shards[0]!.start();
    await until('one shard has everything', async () => {
      const ready = await counted(running, 'partitions{state="ready"');
      return ready === 64;
    });
    await Promise.all(cluster.gateways.map((gateway) => gateway.start()));
    await expectModel(client, set, model);
    const spaces = SPACES.map((space) => client.deleteSpace(space));
    await Promise.all(spaces);
  });

  test('that are damaged are set aside for the ones before; with both, or without all and their records, the partition is not served', async () => {
    const set = await loadWords(COUNT, 10);
    const shared = await tempDir();
    onTestFinished(() => shared[Symbol.asyncDispose]());
    const running = await start(1, { ENGRAM_BLOB_STORE: shared.path });
    const { cluster, client } = running;
    const [shard] = cluster.shards;
    const model: Model = new Map();
    await write(client, set, 0, model);
    await whenTrimmed(running);
    const nc = await connect({ servers: cluster.nats.url });
    onTestFinished(() => nc.close());
    const kv = await nc.jetstream().views.kv('engram-partitions');
    type Stored = { readonly name: string };
    const records = async () => {
      const found: { readonly current?: Stored; readonly previous?: Stored }[] = [];
      for (let partition = 0; partition < 64; partition++) {
        const entry = await kv.get(String(partition));
        if (entry !== null) found.push(entry.json());
      }
      return found;
    };
    await until('each has two checkpoints', async () => {
      const all = (await records()).filter(({ current }) => current !== undefined);
      await nudge(client);
      return all.length > 0 && all.every(({ previous }) => previous !== undefined);
    });
    await killAll(running);
    forget(running);
    // Each cluster has a folder of its own there.
    const [ours, ...others] = readdirSync(shared.path);
    expect(others).toEqual([]);
    const blobs = join(shared.path, ours!);
    const damage = (name: string) => {
      const path = join(blobs, name);
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1]! ^= 0xff;
      writeFileSync(path, bytes);
    };
    for (const { current } of await records()) if (current) damage(current.name);
    await shard!.start();
    await running.whenSettled();
    await expectModel(client, set, model);
    expect(await counted(running, 'restores_total{from="current"')).toBe(0);

    await until('each has two whole ones again', async () => {
      await nudge(client);
      return (await counted(running, 'checkpoints_total{outcome="stored"')) >= SPACES.length * 3;
    });
    await killAll(running);
    forget(running);
    expect(existsSync(join(cluster.dataDir, 'segments'))).toBe(false);
    for (const name of readdirSync(blobs)) damage(name);
    await shard!.start();
    const unserved = new EngramClient({ url: cluster.url, retries: 0 });
    // Answering with what is left in the log would look like all that there ever was.
    const whyUnserved = (): Promise<string> =>
      client.get(SPACES[0]!, set.words[0]!).then(() => 'it is served', String);
    const expectUnserved = async () => {
      const [space, embedding] = [SPACES[0]!, set.embeddings[0]!];
      for (const answer of [
        unserved.get(space, set.words[0]!),
        unserved.recall(space, { embedding, k: 1 }),
        unserved.verify(space),
      ])
        await expect(answer).rejects.toMatchObject({ code: 'PARTITION_UNAVAILABLE' });
    };
    await until('it is known to be damaged', async () =>
      (await whyUnserved()).includes('no checkpoint of partition'),
    );
    await expectUnserved();

    await killAll(running);
    forget(running);
    for (const name of readdirSync(blobs)) rmSync(join(blobs, name));
    for (let partition = 0; partition < 64; partition++)
      await (partition % 2 === 0
        ? kv.delete(String(partition))
        : kv.put(String(partition), '{"epoch":9,"writer":"x","claim":"y","trimmedTo":0}'));
    await shard!.start();
    await until('nothing is known of it any more', async () =>
      (await whyUnserved()).includes('what was removed from the log'),
    );
    await expectUnserved();
  });
});
