import { EngramClient } from '@engram/client';
import type { ClusterMember } from '@engram/local-cluster';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';
import { forEachParallel, loadWords, WORD_DIMENSION, type WordSet } from '../support/words.ts';

const SPACES = Array.from({ length: 8 }, (_, i) => `copied-${i}`);
const COUNT = 6_000;

let running: TestCluster;
let set: WordSet;

beforeAll(async () => {
  set = await loadWords(COUNT, 100);
  running = await startTestCluster({
    shards: 3,
    gateways: 2,
    env: { ENGRAM_REPLICATION: '2' },
  });
  for (const space of SPACES)
    await running.client.createSpace(space, { dimension: WORD_DIMENSION });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

/** The traffic of some users, and everything about it that should not have been. */
class Traffic {
  readonly faults: unknown[] = [];
  /** Space → ids whose writes were acknowledged. */
  readonly acknowledged = new Map<string, string[]>(SPACES.map((space) => [space, []]));
  /** Shard → recalls that it answered, since they were last counted. */
  readonly answered = new Map<string, number>();
  recalls = 0;
  writes = 0;
  readonly #stop = new AbortController();
  readonly #users: Promise<void>[];

  constructor(urls: readonly string[]) {
    // Nothing is tried again: the cluster itself has to have an answer.
    const clients = urls.map((url) => new EngramClient({ url, retries: 0 }));
    this.#users = clients.flatMap((client, i) => [
      this.#recallOn(client, i),
      this.#readOn(client, i),
      this.#writeOn(client, i, clients.length),
    ]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#users);
  }

  async #each(act: (i: number) => Promise<void>): Promise<void> {
    for (let i = 0; !this.#stop.signal.aborted; i++)
      try {
        await act(i);
      } catch (error) {
        this.faults.push(error);
      }
  }

  #recallOn(client: EngramClient, first: number): Promise<void> {
    return this.#each(async (i) => {
      const embedding = set.queries[(first + i) % set.queries.length]!;
      const query = { embedding, k: 10 };
      const { degraded, shards } = await client.recall(SPACES[i % SPACES.length]!, query);
      if (degraded) this.faults.push('degraded');
      for (const id of shards.ids) this.answered.set(id, (this.answered.get(id) ?? 0) + 1);
      this.recalls++;
    });
  }

  /** Counts and single observations. */
  #readOn(client: EngramClient, first: number): Promise<void> {
    return this.#each(async (i) => {
      const space = SPACES[(first + i) % SPACES.length]!;
      const { degraded } = await client.space(space);
      if (degraded) this.faults.push('degraded count');
      const ids = this.acknowledged.get(space)!;
      // Not the latest: without minPosition a copy may not have that yet.
      const id = ids[Math.floor(ids.length / 2)];
      if (id !== undefined && ids.length > 20) await client.get(space, id);
    });
  }

  /** Writes, and sees each write in the next recall, whoever answers that. */
  #writeOn(client: EngramClient, first: number, step: number): Promise<void> {
    return this.#each(async (i) => {
      const row = first + i * step;
      if (row >= COUNT) {
        await until('the end', () => this.#stop.signal.aborted, 300_000);
        return;
      }
      const [space, id, embedding] = [
        SPACES[row % SPACES.length]!,
        set.words[row]!,
        set.embeddings[row]!,
      ];
      const { position } = await client.put(space, [{ id, embedding }]);
      this.acknowledged.get(space)!.push(id);
      this.writes++;
      const query = { embedding, k: 5, minPosition: position!, waitMs: 5_000 };
      const { results, degraded, shards, watermark } = await client.recall(space, query);
      if (degraded) this.faults.push('degraded after a write');
      if (!results.some((hit) => hit.id === id))
        this.faults.push(
          `${space} ${id} at ${position} is not seen by ${shards.ids.join()} at ${watermark}`,
        );
    });
  }
}

async function hedges(): Promise<{ sent: number; won: number }> {
  const sum = { sent: 0, won: 0 };
  for (const { url } of running.cluster.gateways) {
    const text = await (await fetch(`${url}/metrics`)).text();
    for (const [, labels, value] of text.matchAll(/^engram_hedges_total\{(.*)\} (\d+)$/gm))
      sum[labels!.includes('result="won"') ? 'won' : 'sent'] += Number(value);
  }
  return sum;
}

/** Whether each gateway has it among its members. */
async function isMember({ id }: ClusterMember): Promise<boolean[]> {
  const clusters = running.cluster.gateways.map(({ url }) => new EngramClient({ url }).cluster());
  return (await Promise.all(clusters)).map(({ members }) => members.some((each) => each.id === id));
}

test('with two copies no recall fails or is degraded while shards are killed, paused and drained', async () => {
  const { cluster } = running;
  const traffic = new Traffic(cluster.gateways.map(({ url }) => url));
  /** Until everybody was at it again. */
  const goesOn = async (): Promise<void> => {
    const { recalls, writes } = traffic;
    await until(
      'recalls and writes go on',
      () => traffic.recalls > recalls + 50 && traffic.writes > writes + 20,
    );
  };
  await goesOn();
  const [killed, ...others] = cluster.shards as readonly [ClusterMember, ...ClusterMember[]];

  killed.signal('SIGKILL');
  await killed.exited;
  await goesOn();
  await running.whenSettled();
  traffic.answered.clear();
  await goesOn();

  // The one that recalls go to: nobody would notice that another one is silent.
  const asked = ({ id }: ClusterMember): number => traffic.answered.get(id) ?? 0;
  const [paused, drained] = others.toSorted((a, b) => asked(b) - asked(a)) as [
    ClusterMember,
    ClusterMember,
  ];
  paused.signal('SIGSTOP');
  try {
    await until('its lease is over', async () => (await isMember(paused)).every((each) => !each));
    await goesOn();
  } finally {
    paused.signal('SIGCONT');
  }
  await until('it is back', async () => (await isMember(paused)).every(Boolean));
  await running.whenSettled();
  await goesOn();

  await cluster.removeShard(drained.id);
  await running.whenSettled();
  await goesOn();
  await traffic.stop();

  expect(traffic.faults).toEqual([]);
  const { sent, won } = await hedges();
  expect(won).toBeGreaterThan(0);
  expect(sent).toBeGreaterThanOrEqual(won);
  for (const [space, ids] of traffic.acknowledged) {
    const missing: string[] = [];
    await forEachParallel(ids, 8, async (id) => {
      if ((await running.client.get(space, id).catch(() => undefined)) === undefined)
        missing.push(id);
    });
    expect(missing, space).toEqual([]);
    expect((await running.client.space(space)).count, space).toBe(ids.length);
  }
});

test('a write is searchable only when every copy has it that a recall may be answered by', async () => {
  const { cluster, client } = running;
  await cluster.addShard();
  await running.whenSettled();
  const [space] = SPACES as [string];
  const [embedding] = set.queries as [Float32Array];
  const put = (id: string, ackTimeoutMs: number) =>
    client.put(space, [{ id, embedding }], { ack: 'searchable', ackTimeoutMs });
  const { owners } = (await client.space(space)) as unknown as { owners: readonly string[] };
  expect(owners).toHaveLength(2);
  const paused = cluster.shards.find(({ id }) => id === owners[1])!;
  paused.signal('SIGSTOP');
  try {
    const { ack } = await put('while one is paused', 500);
    // Unless this took so long that the cluster has given it up.
    if ((await isMember(paused)).every(Boolean)) expect(ack).toBe('logged');
    // Once it has, the other copy is all that there is.
    expect((await put('without it', 60_000)).ack).toBe('searchable');
  } finally {
    paused.signal('SIGCONT');
  }
  for (const id of ['while one is paused', 'without it'])
    expect((await client.get(space, id)).id).toBe(id);
});
