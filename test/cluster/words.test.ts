import { CONTENT_TYPES, encodeBatch } from '@engram/codec';
import { EngramClient } from '@engram/client';
import { connect, headers } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';
import {
  exactNearest,
  forEachParallel,
  loadWords,
  WORD_DIMENSION,
  type WordSet,
} from '../support/words.ts';

// 20,000 real word vectors through REST and through plain NATS publishes, on 1, 2 and 3 shards.

const COUNT = 20_000;
const QUERIES = 500;
const K = 10;
const BATCH = 500;
const WIDTH = 8;
const READ_EVERY = 4;
const SEARCHED_EVERY = 16;
const SPACES = ['words-rest', 'words-nats'];

let running: TestCluster;
let set: WordSet;
let truth: ReadonlySet<string>[];
let gateways: EngramClient[];

beforeAll(async () => {
  set = await loadWords(COUNT, QUERIES);
  truth = set.queries.map((query) => exactNearest(set, query, K));
  running = await startTestCluster({ shards: 1, gateways: 2 });
  gateways = running.cluster.gateways.map(({ url }) => new EngramClient({ url }));
  for (const space of SPACES)
    await running.client.createSpace(space, { dimension: WORD_DIMENSION });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

const batches = () =>
  Array.from({ length: COUNT / BATCH }, (_, i) =>
    Array.from({ length: BATCH }, (_, j) => ({
      id: set.words[i * BATCH + j]!,
      embedding: set.embeddings[i * BATCH + j]!,
    })),
  );

async function importOverRest(): Promise<void> {
  await forEachParallel(batches(), 4, async (batch) => {
    const { accepted } = await running.client.put('words-rest', batch);
    expect(accepted).toBe(BATCH);
  });
}

async function importOverNats(): Promise<void> {
  const plain = await connect({ servers: running.cluster.nats.url });
  const head = headers();
  head.set('Content-Type', CONTENT_TYPES.frame);
  await forEachParallel(batches(), 4, async (batch) => {
    const items = batch.map((value) => ({ value, pointer: '' }));
    const { frames } = encodeBatch(items, { dimension: WORD_DIMENSION, metric: 'cosine' });
    for (const { bytes } of frames)
      await plain.jetstream().publish('observe.normal.words-nats', bytes, { headers: head });
  });
  await plain.close();
}

async function checkRecall(): Promise<void> {
  for (const space of SPACES) {
    let found = 0;
    await forEachParallel(set.queries, WIDTH, async (embedding, index) => {
      const answers = await Promise.all(
        gateways.map((gateway) => gateway.recall(space, { embedding, k: K })),
      );
      for (const { degraded } of answers) expect(degraded).toBe(false);
      const [first, second] = answers.map(({ results }) =>
        results.map(({ id, score }) => [id, score]),
      );
      expect(second).toEqual(first);
      found += answers[0]!.results.filter(({ id }) => truth[index]!.has(id)).length;
    });
    expect(found / (QUERIES * K), `recall@10 of ${space}`).toBeGreaterThanOrEqual(0.95);
  }
}

async function whenIndexed(): Promise<void> {
  for (const space of SPACES)
    await until(
      `${space} is in the graph`,
      async () => {
        const { count, indexed } = await running.client.space(space);
        return count === COUNT && indexed === COUNT;
      },
      120_000,
    );
}

test('all words go in over REST and over NATS, and recall is good on one shard', async () => {
  await Promise.all([importOverRest(), importOverNats()]);
  await whenIndexed();
  await checkRecall();
});

test.each([2, 3])('the same holds on %i shards', async (shards) => {
  while (running.cluster.shards.length < shards) await running.cluster.addShard();
  await running.whenSettled();
  await whenIndexed();
  await checkRecall();
});

test('every word is in the index, and some are read back by their ids and are their own nearest neighbours', async () => {
  for (const [offset, space] of SPACES.entries()) {
    expect(await running.client.verify(space)).toMatchObject({
      ok: true,
      isExact: true,
      counts: { log: COUNT, index: COUNT },
    });
    const missing: string[] = [];
    const strangers: string[] = [];
    await forEachParallel(set.words, WIDTH, async (word, index) => {
      if (index % READ_EVERY !== offset) return;
      const gateway = gateways[index % gateways.length]!;
      const embedding = set.embeddings[index]!;
      const stored = await gateway.get(space, word).catch(() => undefined);
      if (stored?.embedding.every((value, i) => value === embedding[i]) !== true)
        missing.push(word);
      if (index % SEARCHED_EVERY !== offset) return;
      const { results } = await gateway.recall(space, { embedding, k: 2, include: [] });
      // Words of one meaning may share a vector; then either may come first.
      const best = results.filter(({ score }) => score >= results[0]!.score - 1e-6);
      if (!best.some(({ id }) => id === word)) strangers.push(word);
    });
    expect(missing, space).toEqual([]);
    // An approximate search may miss a word that its own vector should find: seldom.
    expect(
      strangers.length / (COUNT / SEARCHED_EVERY),
      `${space}: ${strangers.slice(0, 5).join(' ')}`,
    ).toBeLessThanOrEqual(0.005);
  }
});

test('a space larger than a page of results holds exactly what was put in', async () => {
  for (const space of SPACES) expect((await running.client.space(space)).count).toBe(COUNT);
});
