import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { embeddingOf, encodeWire, type BodyKind } from '@engram/codec';
import { LANES, perLane, type PartitionId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { describe, expect, test } from 'vitest';
import type { Entry } from '../src/index.ts';
import { scratchFolder, startEngine } from './engines.ts';
import { configOf, expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';

const names = [...namesOn(0, 2), ...namesOn(1, 2)];

/** An entry with a body as a client might send it. */
function bodyOf(kind: BodyKind, body: unknown, sequence: number): Entry {
  const bytes =
    kind === 'msgpack'
      ? encodeWire(body)
      : Buffer.from(
          kind === 'ndjson'
            ? (body as { observations: unknown[] }).observations
                .map((each) => JSON.stringify(each))
                .join('\n')
            : typeof body === 'string'
              ? body
              : JSON.stringify(body),
        );
  return {
    config: configOf('bodies', { dimension: 4 }),
    partition: 3 as PartitionId,
    lane: 'normal',
    sequence,
    kind,
    bytes: Uint8Array.from(bytes),
    observations: 1,
  };
}

describe('an engine', () => {
  test.each(['cosine', 'l2', 'ip'] as const)(
    'finds what was applied to several spaces over two workers (%s)',
    async (metric) => {
      const { engine, told } = await startEngine();
      const log = new Log();
      const spaces = names.map((name, i) => new Space(log, name, { metric, partition: i }));
      const entries = spaces.flatMap((space) => space.fill(60, 7));
      const applied = await feedAll(engine, entries);
      expect(applied.every(({ errors, stale }) => errors.length === 0 && stale === 0)).toBe(true);
      expect(applied.reduce((sum, each) => sum + each.applied, 0)).toBe(60 * spaces.length);
      for (const space of spaces) {
        await expectSame(engine, space);
        await engine.indexed(space.config);
        const id = [...space.stored.keys()][17]!;
        const { embedding, sequence } = space.stored.get(id)!;
        const [hit] = await engine.recall({
          config: space.config,
          embedding,
          k: 3,
          include: ['metadata', 'embedding', 'timestamp'],
        });
        if (metric !== 'ip') expect(hit!.id).toBe(id);
        expect(hit!.metadata).toBe('{"note":""}');
        expect(embeddingOf(hit!.embedding!)).toHaveLength(16);
        expect(hit).not.toHaveProperty('timestamp');
        expect(await engine.get(space.config, id)).toMatchObject({ id, sequence });
        expect(await engine.get(space.config, 'nobody')).toBeUndefined();
        expect(await engine.stats(space.config)).toMatchObject({ count: 60, indexed: 60 });
      }
      expect(await engine.refresh()).toMatchObject({
        loaded: spaces.length,
        unloaded: 0,
        observations: 60 * spaces.length,
        memory: 'normal',
      });
      expect(told.faults).toEqual([]);
    },
  );

  test('has a graph, segments in files and nearly every neighbour of a large space', async () => {
    const { engine } = await startEngine();
    const space = new Space(new Log(), names[0]!);
    await feedAll(engine, space.fill(3_000, 50));
    await engine.indexed(space.config);
    expect(await engine.stats(space.config)).toMatchObject({ count: 3_000, indexed: 3_000 });
    await until(
      'all but the last segment is in files',
      async () => (await engine.stats(space.config)).diskBytes > 5 * 64 * 1024,
    );
    expect((await engine.stats(space.config)).segments).toBeGreaterThan(1);
    expect(await recallAtTen(engine, space, 30)).toBeGreaterThanOrEqual(0.95);
    await expectSame(engine, space);
  });

  test('knows nothing of a space without entries, and a question leaves none behind', async () => {
    const { engine } = await startEngine();
    const config = configOf('unknown');
    const embedding = new Float32Array(16).fill(1);
    expect(await engine.recall({ config, embedding, k: 5, include: [] })).toEqual([]);
    expect(await engine.get(config, 'a')).toBeUndefined();
    expect(await engine.stats(config)).toMatchObject({ count: 0, segments: 0 });
    await engine.indexed(config);
    expect(await engine.refresh()).toMatchObject({ loaded: 0, unloaded: 0 });
  });

  test.each(['json', 'ndjson', 'msgpack'] as const)(
    'applies a body of %s, and tells what is wrong with which item',
    async (kind) => {
      const { engine } = await startEngine();
      const observations = [
        { id: 'a', embedding: [1, 0, 0, 0], metadata: { lang: 'de' }, timestamp: 5 },
        { id: 'short', embedding: [1, 0] },
        { id: 'b', embedding: [0, 1, 0, 0], metadata: { lang: 'en' } },
        { id: 'zero', embedding: [0, 0, 0, 0] },
        { id: 'a', embedding: [0, 0, 1, 0] },
        { id: '', embedding: [0, 0, 1, 0] },
        { id: 'c', embedding: [0, 0, 1, 0], metadata: { lang: 'de' } },
        { id: 'd', embedding: [0, 0, 0, 1], timestamp: 1.5 },
      ];
      const entry = bodyOf(kind, { observations }, 1);
      const applied = await engine.apply(entry)!;
      expect(applied).toMatchObject({ applied: 3, stale: 0 });
      expect(applied.errors.map(({ index, code }) => [index, code])).toEqual([
        [1, 'DIMENSION_MISMATCH'],
        [3, 'ZERO_EMBEDDING'],
        [4, 'DUPLICATE_ID'],
        [5, 'INVALID_ID'],
        [7, 'INVALID_TIMESTAMP'],
      ]);
      const { config } = entry;
      expect(await engine.get(config, 'a')).toMatchObject({
        sequence: 1,
        timestamp: 5,
        metadata: '{"lang":"de"}',
      });
      const hits = await engine.recall({
        config,
        embedding: Float32Array.of(0, 1, 0.1, 0),
        k: 5,
        filter: { lang: 'de' },
        include: [],
      });
      expect(hits.map(({ id }) => id)).toEqual(['c', 'a']);
      // The same entry once more changes nothing.
      expect(await engine.apply(entry)!).toMatchObject({ applied: 0, stale: 3 });
    },
  );

  test('answers an entry that is wrong as a whole, and goes on', async () => {
    const { engine, told } = await startEngine();
    const wrong: [BodyKind, unknown, string][] = [
      ['json', '{"observations": [', 'INVALID_JSON'],
      ['json', { observations: [] }, 'EMPTY_BATCH'],
      ['json', { observations: [], more: 1 }, 'INVALID_BODY'],
      ['msgpack', 'a text', 'INVALID_BODY'],
      ['frame', 'ENGF is not enough', 'INVALID_FRAME'],
    ];
    for (const [i, [kind, body, code]] of wrong.entries()) {
      const applied = await engine.apply(bodyOf(kind, body, i + 1))!;
      expect(applied).toMatchObject({ applied: 0, errors: [{ index: 0, code }] });
    }
    const space = new Space(new Log(), 'bodies', { dimension: 8 });
    const entry = { ...space.write(['x', 'y']), config: configOf('bodies', { dimension: 4 }) };
    const applied = await engine.apply({ ...entry, sequence: 50 })!;
    expect(applied.errors.map(({ index, id, code }) => [index, id, code])).toEqual([
      [0, 'x', 'DIMENSION_MISMATCH'],
      [1, 'y', 'DIMENSION_MISMATCH'],
    ]);
    const good = bodyOf('json', { id: 'a', embedding: [1, 0, 0, 0] }, 51);
    expect(await engine.apply(good)!).toEqual({ applied: 1, stale: 0, errors: [] });
    expect(told.crashes).toEqual([]);
  });

  test('G1: bytes that are not over shared memory are its own once it took them', async () => {
    const { engine } = await startEngine();
    const space = new Space(new Log(), names[0]!);
    const entry = space.write(['a', 'b']);
    const bytes = Uint8Array.from(entry.bytes);
    const applied = engine.apply({ ...entry, bytes })!;
    bytes.fill(0);
    expect(await applied).toEqual({ applied: 2, stale: 0, errors: [] });
    await expectSame(engine, space);
  });

  test('a space that was deleted and made again starts empty', async () => {
    const { engine } = await startEngine();
    const log = new Log();
    for (const name of names) {
      const old = new Space(log, name);
      await feedAll(engine, old.fill(300));
      await engine.indexed(old.config);
      const again = new Space(log, name, { afterSequence: log.sequence, dimension: 8 });
      const [first] = again.fill(20);
      // Without a word of the deletion: the newer config says it.
      expect(await feed(engine, first!)).toEqual({ applied: 20, stale: 0, errors: [] });
      // What was still on its way for the old one is ignored.
      expect(await feed(engine, old.entries[0]!)).toMatchObject({ applied: 0 });
      await expectSame(engine, again);
      expect(await engine.get(old.config, 'row-5')).toMatchObject({ sequence: first!.sequence });
      engine.dropSpace(old.config.space);
      expect((await engine.stats(again.config)).count).toBe(0);
    }
    expect(await engine.refresh()).toMatchObject({ loaded: 0, observations: 0 });
  });

  test('a wait for the index of a space that is deleted meanwhile ends', async () => {
    const { engine } = await startEngine();
    const space = new Space(new Log(), names[0]!, { dimension: 64, m: 32, efConstruction: 512 });
    await feedAll(engine, space.fill(1_500, 100));
    const waiting = engine.indexed(space.config);
    engine.dropSpace(space.config.space);
    await waiting;
    expect((await engine.stats(space.config)).count).toBe(0);
  });

  test('what was taken of a partition before it was dropped is not applied after it', async () => {
    const { engine } = await startEngine({ minBatch: 1, maxBatch: 1 });
    const log = new Log();
    const spaces = names.map((name, i) => new Space(log, name, { partition: i % 2 }));
    const entries = spaces.map((space) => space.fill(100, 2));
    const pending = entries.map((each) => feedAll(engine, each));
    engine.dropPartitions([0 as PartitionId]);
    await Promise.all(pending);
    for (const [i, space] of spaces.entries())
      if (i % 2 === 0) {
        // Two batches of each worker at most were under way.
        expect((await engine.stats(space.config)).count).toBe(0);
      } else await expectSame(engine, space);
    const replayed = await Promise.all(
      spaces.filter((_, i) => i % 2 === 0).map((space) => feedAll(engine, space.entries)),
    );
    expect(replayed.flat().reduce((sum, { applied }) => sum + applied, 0)).toBe(200);
    for (const space of spaces) await expectSame(engine, space);
  });

  test('does not apply again what is complete', async () => {
    const { engine } = await startEngine();
    const log = new Log();
    const [one, other] = [
      new Space(log, names[0]!, { partition: 1 }),
      new Space(log, names[2]!, { partition: 2 }),
    ];
    for (const space of [one, other]) {
      await feed(engine, space.write(['a', 'b']));
      await feed(engine, space.write([], { deletes: ['a'] }));
    }
    expect((await engine.stats(one.config)).tombstones).toBe(1);
    engine.complete(new Map([[1 as PartitionId, log.sequence]]));
    // The delete needs no grave any more, for nothing older can come.
    expect((await engine.stats(one.config)).tombstones).toBe(0);
    expect((await engine.stats(other.config)).tombstones).toBe(1);
    expect(await feed(engine, one.entries[0]!)).toMatchObject({ applied: 0, stale: 2 });
    for (const space of [one, other]) {
      await expectSame(engine, space);
      await feed(engine, space.write(['a']));
      await expectSame(engine, space);
    }
  });

  test('refuses what a full lane has no room for, and tells room, depth and age', async () => {
    let now = 0;
    const lanes = perLane((lane) => ({
      observations: lane === 'high' ? 100 : 20,
      bytes: 1_000_000,
    }));
    const { engine } = await startEngine({
      lanes,
      minBatch: 1,
      maxBatch: 1,
      clock: { ...systemClock, now: () => now },
    });
    const space = new Space(new Log(), names[0]!);
    const pending: Promise<unknown>[] = [];
    for (let n = 0; n < 20; n++) {
      expect(engine.room('normal').observations).toBe(20 - n);
      now = n * 10;
      pending.push(engine.apply(space.write([`id-${n}`]))!);
    }
    const left = space.write(['late']);
    expect(engine.apply(left)).toBeUndefined();
    expect(engine.room('normal')).toMatchObject({ observations: 0 });
    expect(engine.room('high')).toEqual(lanes.high);
    // Two are under way, the third waits since 20.
    expect(engine.depth('normal')).toMatchObject({ items: 18, observations: 18 });
    expect(engine.oldestAgeMs('normal')).toBe(170);
    pending.push(engine.apply(space.write(['urgent'], { lane: 'high' }))!);
    await Promise.all(pending);
    for (const lane of LANES) {
      expect(engine.room(lane)).toEqual(lanes[lane]);
      expect(engine.depth(lane)).toEqual({ items: 0, observations: 0, bytes: 0 });
      expect(engine.oldestAgeMs(lane)).toBe(0);
    }
    await engine.apply(left);
    await expectSame(engine, space);
  });

  test('leaves no folder behind, and removes those of processes that have ended', async () => {
    const dataDir = scratchFolder();
    mkdirSync(join(dataDir, 'run-dead'));
    writeFileSync(join(dataDir, 'mine'), '');
    const { engine } = await startEngine({ dataDir });
    const there = readdirSync(dataDir).sort();
    expect(there).toHaveLength(4);
    expect(there).toEqual(expect.arrayContaining(['mine', 'segments']));
    const space = new Space(new Log(), names[0]!);
    await feedAll(engine, space.fill(1_000));
    await engine.close();
    await engine.close();
    expect(readdirSync(dataDir).sort()).toEqual(['mine', 'segments']);
    await expect(engine.get(space.config, 'a')).rejects.toThrow();
  });
});
