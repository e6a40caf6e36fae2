import { EngramClient } from '@engram/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';
import { forEachParallel, loadWords, WORD_DIMENSION, type WordSet } from '../support/words.ts';

const COUNT = 8_000;
const SPACES = Array.from({ length: 12 }, (_, i) => `tenant-${i}`);
const BATCH = 50;

let running: TestCluster;
let set: WordSet;

beforeAll(async () => {
  set = await loadWords(COUNT, 100);
  running = await startTestCluster({ shards: 3, gateways: 2 });
  for (const space of SPACES)
    await running.client.createSpace(space, { dimension: WORD_DIMENSION });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

interface Tally {
  answered: number;
  degraded: number;
  failed: unknown[];
}

/** Recalls from every space in turn until it is stopped; every answer is counted. */
async function keepRecalling(client: EngramClient, tally: Tally, stop: AbortSignal): Promise<void> {
  for (let i = 0; !stop.aborted; i++) {
    const space = SPACES[i % SPACES.length]!;
    const embedding = set.queries[i % set.queries.length]!;
    try {
      const { degraded } = await client.recall(space, { embedding, k: 10 });
      tally.answered++;
      if (degraded) tally.degraded++;
    } catch (error) {
      tally.failed.push(error);
    }
  }
}

test('a shard killed while all write and recall loses nothing, doubles nothing and answers no recall with nothing', async () => {
  const { cluster } = running;
  const urls = cluster.gateways.map(({ url }) => url);
  const client = new EngramClient({ url: urls });
  const stop = new AbortController();
  const tally: Tally = { answered: 0, degraded: 0, failed: [] };
  const recalling = keepRecalling(new EngramClient({ url: urls, retries: 0 }), tally, stop.signal);

  const acknowledged = new Map<string, Set<string>>(SPACES.map((space) => [space, new Set()]));
  let done = 0;
  const writing = forEachParallel(
    Array.from({ length: COUNT / BATCH }, (_, i) => i),
    4,
    async (i) => {
      const space = SPACES[i % SPACES.length]!;
      const batch = Array.from({ length: BATCH }, (_, j) => ({
        id: set.words[i * BATCH + j]!,
        embedding: set.embeddings[i * BATCH + j]!,
      }));
      const { accepted } = await client.put(space, batch);
      expect(accepted).toBe(BATCH);
      for (const { id } of batch) acknowledged.get(space)!.add(id);
      done++;
    },
  );
  await until('a third is written', () => done >= COUNT / BATCH / 3);
  const [, victim] = cluster.shards;
  victim!.signal('SIGKILL');
  await victim!.exited;
  await writing;
  await running.whenSettled();
  const answeredBefore = tally.answered;
  await until('recalls go on', () => tally.answered > answeredBefore + SPACES.length);
  stop.abort();
  await recalling;

  // Nobody has the partitions for a moment, and that is what is said.
  for (const error of tally.failed) expect(error).toMatchObject({ code: 'PARTITION_UNAVAILABLE' });
  for (const [space, ids] of acknowledged) {
    const missing: string[] = [];
    await forEachParallel([...ids], 8, async (id) => {
      const stored = await client.get(space, id).catch(() => undefined);
      if (stored === undefined) missing.push(id);
    });
    expect(missing, space).toEqual([]);
    // As many as were acknowledged and not one more: nothing is doubled.
    expect((await client.space(space)).count, space).toBe(ids.size);
    const embedding = set.queries[0]!;
    const { results, degraded } = await client.recall(space, { embedding, k: 1_000 });
    expect(degraded).toBe(false);
    expect(new Set(results.map(({ id }) => id)).size).toBe(results.length);
    expect(results.length).toBe(Math.min(1_000, ids.size));
  }
});

test('while a shard is dead and not replaced, its spaces say so, alone and among others', async () => {
  const { cluster } = running;
  const client = new EngramClient({ url: cluster.url, retries: 0 });
  const alive = cluster.shards.filter(({ running: isRunning }) => isRunning);
  const victim = alive[0]!;
  const { owners } = (await client.space(SPACES[0]!)) as { owners: readonly string[] };
  const owner = alive.find(({ id }) => id === owners[0]) ?? victim;
  owner.signal('SIGKILL');
  await owner.exited;
  const query = { embedding: set.queries[0]!, k: 5 };
  await expect(client.recall(SPACES[0]!, query)).rejects.toMatchObject({
    code: 'PARTITION_UNAVAILABLE',
  });
  const answer = await client.recallSpaces(SPACES, query);
  expect([answer.degraded, answer.results.length]).toEqual([true, 5]);
  await running.whenSettled();
  const healed = await client.recall(SPACES[0]!, { embedding: set.queries[0]!, k: 5 });
  expect([healed.degraded, healed.results.length]).toEqual([false, 5]);
});

test('a shard that was paused beyond its lease answers nothing stale afterwards', async () => {
  const { cluster, client } = running;
  const space = SPACES[3]!;
  const { owners } = (await client.space(space)) as { owners: readonly string[] };
  const paused = cluster.shards.find(({ id }) => id === owners[0])!;
  paused.signal('SIGSTOP');
  try {
    await until('another has taken over', async () => {
      const { owners: next } = (await client.space(space)) as { owners: readonly string[] };
      return next[0] !== paused.id;
    });
    const embedding = set.queries[1]!;
    await client.put(space, [{ id: 'while-paused', embedding }], { ack: 'searchable' });
  } finally {
    paused.signal('SIGCONT');
  }
  await until('it has joined again', async () => {
    const { owners: next } = (await client.space(space)) as { owners: readonly string[] };
    return next[0] === paused.id;
  });
  for (let i = 0; i < 50; i++) {
    const { id } = await client.get(space, 'while-paused');
    expect(id).toBe('while-paused');
  }
  await running.whenSettled();
  expect((await client.get(space, 'while-paused')).id).toBe('while-paused');
});

test('a shard that joins again and one that drains move partitions without a gap in the answers', async () => {
  const { cluster } = running;
  const client = new EngramClient({ url: cluster.url, retries: 0 });
  const stop = new AbortController();
  const tally: Tally = { answered: 0, degraded: 0, failed: [] };
  const recalling = keepRecalling(client, tally, stop.signal);
  const joined = await cluster.addShard();
  await running.whenSettled();
  await cluster.addShard();
  await running.whenSettled();
  await cluster.removeShard(joined.id);
  await running.whenSettled();
  stop.abort();
  await recalling;
  expect([tally.failed, tally.degraded]).toEqual([[], 0]);
  expect(tally.answered).toBeGreaterThan(0);
});
