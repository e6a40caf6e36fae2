import type { VerifyResult } from '@engram/client';
import { encodeFrame } from '@engram/codec';
import { LANES, parseSpaceId, partitionOf, type Lane } from '@engram/model';
import { connect, headers, type JetStreamManager, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { runEngram } from '../support/engram-command.ts';
import { until } from '../support/until.ts';

// The log against the index, id by id. Differences are planted by taking single entries out of the log
// behind everybody's back: to the judge it is the same as an index that applied what it should not.

const FRAME = 'application/vnd.engram.frame';

let running: TestCluster;
let plain: NatsConnection;
let manager: JetStreamManager;

beforeAll(async () => {
  // A shard that loses its lease on a busy machine reads the log anew, and what was planted is gone.
  running = await startTestCluster({ shards: 2, env: { ENGRAM_LEASE_TTL_MS: '60000' } });
  plain = await connect({ servers: running.cluster.nats.url });
  manager = await plain.jetstreamManager();
  // Something that stays at the beginning of the log.
  await running.client.createSpace('first', { dimension: 2 });
  await put('first', 'normal', ['f']);
});

afterAll(async () => {
  await plain.close();
  await running[Symbol.asyncDispose]();
});

interface Written {
  readonly dimension?: number;
  readonly deletes?: string[];
  readonly value?: number;
}

/** Publishes one entry of the log. @returns its sequence */
async function put(
  space: string,
  lane: Lane,
  ids: string[],
  { dimension = 2, deletes = [], value = 1 }: Written = {},
): Promise<number> {
  const head = headers();
  head.set('Content-Type', FRAME);
  const bytes = encodeFrame({
    dimension,
    ids,
    deletes,
    embeddings: new Float32Array(ids.length * dimension).fill(value),
    timestamps: [],
    metadata: ids.map(() => undefined),
  });
  const ack = await plain.jetstream().publish(`observe.${lane}.${space}`, bytes, { headers: head });
  return ack.seq;
}

const verify = (space: string): Promise<VerifyResult> => running.client.verify(space);

test('a space with overwrites, deletes, duplicates and bad items in three lanes is as the log says', async () => {
  const space = 'mixed';
  await running.client.createSpace(space, { dimension: 2 });
  await put(space, 'normal', ['a', 'b', 'c', 'a']); // the second a is refused
  await put(space, 'low', ['b', 'd']);
  await put(space, 'high', [], { deletes: ['c', 'never'] });
  await put(space, 'high', ['e', 'f'], { deletes: ['e'] }); // deletes come last
  await put(space, 'low', ['c']);
  await put(space, 'normal', ['x', 'y'], { dimension: 3 }); // two are refused
  await put(space, 'normal', ['nan'], { value: NaN });
  await put(space, 'normal', ['', 'line\nbreak', 'ok']);
  await plain.jetstream().publish(`observe.normal.${space}`, '{');
  await plain
    .jetstream()
    .publish(
      `observe.low.${space}`,
      '{"observations":[{"id":"j1","embedding":[1,2]},{"id":"j1","embedding":[3,4]},{"id":"j2","embedding":[1]}]}',
    );
  const result = await verify(space);
  expect(result).toMatchObject({
    space,
    ok: true,
    isExact: true,
    basis: 'log',
    counts: { log: 7, index: 7 }, // a b c d f ok j1
    totals: { missing: 0, extra: 0, stale: 0 },
    missing: [],
    extra: [],
    stale: [],
    entries: 10,
    rejected: 9,
    reasons: [],
  });
  expect(result.position).toMatch(/^\d+-\d+\.\d+\.\d+$/);
  expect((await running.client.space(space)).owners).toContain(result.shard);
});

test('a space without entries, and one that was made again, hold nothing', async () => {
  await running.client.createSpace('again', { dimension: 2 });
  expect(await verify('again')).toMatchObject({
    ok: true,
    counts: { log: 0, index: 0 },
    entries: 0,
  });
  await put('again', 'normal', ['old']);
  expect(await verify('again')).toMatchObject({ ok: true, counts: { log: 1, index: 1 } });
  await running.client.deleteSpace('again');
  await expect(verify('again')).rejects.toMatchObject({ code: 'SPACE_NOT_FOUND' });
  await running.client.createSpace('again', { dimension: 2 });
  expect(await verify('again')).toMatchObject({ ok: true, counts: { log: 0, index: 0 } });
});

test('it is exact while writes go on in three lanes over the same ids', async () => {
  const space = 'busy';
  await running.client.createSpace(space, { dimension: 2 });
  let isOver = false;
  let count = 0;
  // Writers that are faster than the reading would make each round longer than the one before.
  let allowed = 0;
  const writing = LANES.map(async (lane, place) => {
    for (let i = 0; !isOver; i++) {
      await until('the next round', () => isOver || count < allowed);
      const ids = Array.from({ length: 5 }, (_, j) => `id-${(i * 7 + j * 13 + place) % 97}`);
      await put(space, lane, [...new Set(ids)], { deletes: i % 5 === 0 ? [ids[0]!] : [] });
      count++;
    }
  });
  try {
    for (let round = 0; round < 12; round++) {
      allowed = count + 1_000;
      const { ok, isExact, missing, extra, stale } = await verify(space);
      expect({ ok, isExact, missing, extra, stale }).toEqual({
        ok: true,
        isExact: true,
        missing: [],
        extra: [],
        stale: [],
      });
    }
  } finally {
    isOver = true;
    await Promise.all(writing);
  }
  expect(count).toBeGreaterThan(20);
  const settled = await verify(space);
  expect(settled.ok).toBe(true);
  expect(settled.counts.log).toBe(settled.counts.index);
});

test('a space of many ids, with a graph and several pages, is listed whole', async () => {
  const space = 'large';
  await running.client.createSpace(space, { dimension: 2 });
  for (let i = 0; i < 12; i++)
    await put(
      space,
      LANES[i % 3]!,
      Array.from({ length: 1_000 }, (_, j) => `${'long-'.repeat(8)}${i * 900 + j}`),
      { value: i + 1 },
    );
  expect(await verify(space)).toMatchObject({ ok: true, counts: { log: 10_900, index: 10_900 } });
});

test('planted differences are each found', async () => {
  const space = 'planted';
  await running.client.createSpace(space, { dimension: 2 });
  await put(space, 'normal', ['same', 'stale', 'missing']);
  const extra = await put(space, 'low', ['extra']);
  const overwrite = await put(space, 'high', ['stale']);
  const removal = await put(space, 'high', [], { deletes: ['missing'] });
  expect((await verify(space)).ok).toBe(true);
  for (const sequence of [extra, overwrite, removal])
    await manager.streams.deleteMessage('OBS-0', sequence);
  const first = extra - 1;
  const result = await verify(space);
  expect(result).toMatchObject({
    ok: false,
    isExact: true,
    counts: { log: 3, index: 3 },
    missing: [{ id: 'missing', expected: first }],
    extra: [{ id: 'extra', found: extra }],
    stale: [{ id: 'stale', expected: first, found: overwrite }],
    totals: { missing: 1, extra: 1, stale: 1 },
  });
  // Also while others are written.
  let isOver = false;
  const writing = (async () => {
    for (let i = 0; !isOver; i++) await put(space, LANES[i % 3]!, [`w${i % 10}`]);
  })();
  try {
    expect((await verify(space)).totals).toEqual({ missing: 1, extra: 1, stale: 1 });
  } finally {
    isOver = true;
    await writing;
  }
});

test('an entry that ended its thread is expected nowhere', async () => {
  const space = 'crashed';
  await running.client.createSpace(space, { dimension: 2 });
  await put(space, 'normal', ['before']);
  const crashed = await put(space, 'normal', ['before', 'never']);
  const undo = await put(space, 'high', [], { deletes: ['never'] });
  const head = headers();
  head.set('Engram-Reason', 'WORKER_CRASHED');
  head.set('Engram-Subject', `obs.${partitionOf(parseSpaceId(space), 64)}.normal.${space}`);
  expect((await verify(space)).ok).toBe(true);
  // As if it had been set aside: the log has it, the index lacks one of its ids.
  await manager.streams.deleteMessage('OBS-0', undo);
  expect((await verify(space)).missing).toEqual([{ id: 'never', expected: crashed }]);
  await plain.jetstream().publish(`dlq.0.${crashed}`, '', { headers: head });
  expect(await verify(space)).toMatchObject({ ok: true, isExact: true });
});

test('a hundred differences are listed and all are counted', async () => {
  const space = 'emptied';
  await running.client.createSpace(space, { dimension: 2 });
  const ids = Array.from({ length: 250 }, (_, i) => `row-${i}`);
  await put(space, 'normal', ids);
  expect((await verify(space)).ok).toBe(true);
  const partition = partitionOf(parseSpaceId(space), 64);
  await manager.streams.purge('OBS-0', { filter: `obs.${partition}.*.${space}` });
  const result = await verify(space);
  expect(result.totals).toEqual({ missing: 0, extra: 250, stale: 0 });
  expect(result.extra).toHaveLength(100);
  expect([result.ok, result.isExact, result.counts]).toEqual([false, true, { log: 0, index: 250 }]);
});

test('the shard that is named is asked, and no other', async () => {
  const { shard } = await verify('mixed');
  const other = running.cluster.shards.map(({ id }) => id).find((id) => id !== shard)!;
  expect((await running.client.verify('mixed', { shard })).ok).toBe(true);
  const ask = (name: string) =>
    fetch(`${running.cluster.url}/v1/spaces/mixed/verify?shard=${encodeURIComponent(name)}`);
  const wrong = await ask(other);
  const { code, hint } = (await wrong.json()) as { readonly code: string; readonly hint: string };
  expect([wrong.status, code, hint]).toEqual([503, 'NOT_OWNER', `it is held by ${shard}`]);
  for (const name of ['nobody', '', '>', 'a.b', 'gateway-1']) {
    const { status } = await ask(name);
    expect(status, name).toBe(400);
  }
});

test('one runs at a time, and one that nobody waits for ends', async () => {
  const url = `${running.cluster.url}/v1/spaces/large/verify`;
  const answers = await Promise.all(Array.from({ length: 4 }, () => fetch(url)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(1);
  const refused = answers.find(({ status }) => status === 429)!;
  expect(refused.headers.get('retry-after')).toBe('2');
  expect(((await refused.json()) as { code: string }).code).toBe('BACKPRESSURE');
  await until('one is left while it runs', async () => {
    const leaving = new AbortController();
    const left = fetch(url, { signal: leaving.signal }).then(
      () => false,
      () => true,
    );
    const { status } = await fetch(url);
    leaving.abort();
    return (await left) && status === 429;
  });
  await until('another one runs', async () => (await fetch(url)).status === 200, 10_000);
});

const engram = (...args: string[]) => runEngram(running.cluster.url, args);

test('engram verify ends with 1 when something differs, and says what', async () => {
  const good = await engram('verify', 'mixed');
  expect([good.code, good.err]).toEqual([0, '']);
  expect(good.out).toMatch(/^✔ mixed {3}7 ids of 10 entries, 9 refused/);
  const bad = await engram('verify', 'planted');
  expect(bad.code, bad.out).toBe(1);
  expect(bad.out).toMatch(/✖ planted {3}1 missing, 1 extra, 1 stale in shard-\d/);
  expect(bad.out).toContain('extra: extra (log -, index ');
  const all = await engram('verify', '--json');
  expect(all.code, all.out).toBe(1);
  const results = JSON.parse(all.out) as VerifyResult[];
  expect(results.filter(({ ok }) => !ok).map(({ space }) => space)).toEqual(['emptied', 'planted']);
  expect((await engram('verify', 'nowhere')).code).toBe(1);
  expect((await engram('verify', '--wait-ms', 'long')).code).toBe(2);
});

test('a log that no longer reaches back is told, and nothing is made up', async () => {
  const space = 'trimmed';
  await running.client.createSpace(space, { dimension: 2 });
  const sequence = await put(space, 'normal', ['gone', 'kept']);
  await put(space, 'normal', ['other']);
  const last = await put(space, 'high', ['kept']);
  expect((await verify(space)).isExact).toBe(true);
  await manager.streams.purge('OBS-0', { seq: last });
  const result = await verify(space);
  expect(result).toMatchObject({
    ok: true,
    isExact: false,
    counts: { log: 1, index: 3 },
    totals: { missing: 0, extra: 0, stale: 0 },
  });
  expect(result.reasons[0]).toContain(`the log begins at ${last}`);
  expect(result.reasons[1]).toContain('2 ids');
  expect(sequence).toBeLessThan(last);
});
