import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { buildSegment } from '../src/segment-build.ts';
import { openSpace } from '../src/open-space.ts';
import { UNHURRIED } from '../src/pace.ts';
import { planMerge } from '../src/merge-plan.ts';
import { clustered } from './frames.ts';
import { apply, expectSame, finish, ids, recallAt, seal, spaceOf } from './spaces.ts';

const DIMENSION = 24;
const PART = 300;
const ROWS = 4 * PART;
const vectors = clustered(2 * ROWS + 40, DIMENSION, 8);
const queries = vectors.slice(2 * ROWS);
const puts = vectors.slice(0, ROWS).map((embedding, i) => ({
  id: `row ${i}`,
  embedding,
  metadata: { text: 'x'.repeat(i % 11) },
  timestamp: i,
}));
const all = ids(puts);

/** Four sealed segments, then a third of the rows overwritten or deleted. */
async function wornSpace(config: Partial<Parameters<typeof spaceOf>[0]> = {}, keepMs = 0) {
  const options = { graphThreshold: 100, snapshotKeepMs: keepMs };
  const space = spaceOf({ dimension: DIMENSION, ...config }, options);
  const exact = spaceOf({ dimension: DIMENSION, ...config }, { graphThreshold: Infinity });
  const both = (...args: Parameters<typeof apply> extends [unknown, ...infer T] ? T : never) => {
    for (const each of [exact, space]) expect(apply(each, ...args).errors).toEqual([]);
  };
  for (let part = 0; part < 4; part++) {
    both(part + 1, puts.slice(part * PART, (part + 1) * PART));
    await seal(space);
  }
  expect(space.engine.segments.sealed).toHaveLength(4);
  const overwritten = puts.filter((_, i) => i % 6 === 0);
  both(
    5,
    overwritten.map((put, i) => ({ ...put, embedding: vectors[ROWS + i]! })),
    ids(puts.filter((_, i) => i % 6 === 3)),
  );
  return { space, exact, both };
}

describe('a merge', () => {
  for (const config of [
    { engine: 'usearch', quantization: 'i8', metric: 'cosine' },
    { engine: 'usearch', quantization: 'bf16', metric: 'l2' },
    { engine: 'hnswlib', quantization: 'f32', metric: 'ip' },
  ] as const)
    test(`makes one segment of four without what died, and recalls as well as they did (${config.engine}, ${config.metric})`, async () => {
      const { space, exact, both } = await wornSpace(config);
      const { engine, upkeep } = space;
      const before = await recallAt(10, space, exact, queries);
      expect(before).toBeGreaterThanOrEqual(0.95);
      upkeep.tick(1, false);
      // Every segment is worn by a third: each is merged alone, and then all of them.
      for (let alone = 0; alone < 4; alone++) await finish(space, upkeep.giveMerge());
      expect(engine.segments.sealed.map(({ rows }) => rows)).toEqual([200, 200, 200, 200]);
      expectSame(space, exact, all);
      const job = upkeep.giveMerge();
      expect(job?.inputs).toHaveLength(4);
      const built = await buildSegment(job!, UNHURRIED);
      // Changes during the build are honoured when it is taken in.
      const dying = engine.segments.sealed.map((segment) => segment.read(7).id);
      both(6, [{ id: dying[0]!, embedding: queries[0]! }], dying.slice(1));
      await upkeep.finish(built);
      expect(engine.segments.sealed).toMatchObject([{ rows: 800 }]);
      expect(engine.segments.sealed[0]!.deaths.count).toBe(4);
      expectSame(space, exact, all);
      const after = await recallAt(10, space, exact, queries);
      expect(after).toBeGreaterThanOrEqual(Math.max(0.95, before - 0.02));
      const hits = ids(await engine.recall({ embedding: queries[0]!, k: 1_200 }));
      const living = all.filter((id) => exact.engine.get(id) !== undefined);
      expect(hits.sort()).toEqual(living.sort());
      expect(upkeep.giveMerge()).toBeUndefined();
    });

  test('removes the files of what it was made of, and no other', async () => {
    const { space } = await wornSpace();
    const { engine, upkeep } = space;
    upkeep.tick(1, false);
    for (let job = upkeep.giveMerge(); job !== undefined; job = upkeep.giveMerge())
      await finish(space, job);
    expect(engine.segments.sealed).toHaveLength(1);
    const { file, graphFile } = engine.segments.sealed[0]!;
    const paths = [file.path, graphFile.path].map((path) => path.split('/').at(-1)!);
    expect((await readdir(engine.options.folder)).sort()).toEqual([...paths, 'manifest'].sort());
  });

  test('keeps dead rows that a snapshot may still ask for', async () => {
    const { space, exact } = await wornSpace({}, 60_000);
    const { engine, upkeep } = space;
    upkeep.tick(0, false);
    // Nothing is removable yet, but four segments of one size are one too many.
    const job = upkeep.giveMerge();
    expect(job?.inputs).toHaveLength(4);
    await finish(space, job);
    expect(engine.segments.sealed).toMatchObject([{ rows: ROWS, deaths: { count: 400 } }]);
    expectSame(space, exact, all);
    const asOf = { high: 0, normal: 4, low: 0 };
    const hits = ids(await engine.recall({ embedding: queries[0]!, k: ROWS, asOf }));
    expect(hits.sort()).toEqual(all.toSorted());
  });

  test('that is not right is left out and reported, and what it was to replace stays', async () => {
    const faults: string[] = [];
    const space = spaceOf(
      { dimension: DIMENSION },
      {
        graphThreshold: 100,
        snapshotKeepMs: 0,
        onFault: ({ code }) => faults.push(code),
      },
    );
    for (let part = 0; part < 4; part++) {
      apply(space, part + 1, puts.slice(part * PART, (part + 1) * PART));
      await seal(space);
    }
    const result = await buildSegment(space.upkeep.giveMerge()!, UNHURRIED);
    await space.upkeep.finish({ ...result, rows: result.rows - 1 });
    expect(faults).toEqual(['SEGMENT_DAMAGED']);
    expect(space.engine.segments.sealed).toHaveLength(4);
    for (const id of all) expect(space.engine.get(id)).toBeDefined();
    expect(await space.engine.recall({ embedding: queries[0]!, k: 1_200 })).toHaveLength(1_200);
    await finish(space, space.upkeep.giveMerge());
    expect(space.engine.segments.sealed).toHaveLength(1);
    expect(await space.engine.recall({ embedding: queries[0]!, k: 1_200 })).toHaveLength(1_200);
  });

  test('beside a seal leaves both whole, whenever it is taken in', async () => {
    for (const turns of [0, 1, 2, 4, 8]) {
      const { space, exact, both } = await wornSpace();
      const { engine, upkeep } = space;
      upkeep.tick(1, false);
      const built = await buildSegment(upkeep.giveMerge()!, UNHURRIED);
      both(6, puts.slice(0, 200));
      engine.segments.roll();
      upkeep.buildGraph(() => false);
      const sealing = upkeep.tend();
      for (let turn = 0; turn < turns; turn++) await nextTurn();
      await Promise.all([sealing, upkeep.finish(built)]);
      expect(engine.segments.memory).toMatchObject([{ rows: 0 }]);
      expect(engine.segments.sealed).toHaveLength(5);
      for (const { file, graphFile } of engine.segments.sealed)
        expect([existsSync(file.path), existsSync(graphFile.path)]).toEqual([true, true]);
      expectSame(space, exact, all);
      expect(await upkeep.unload()).toBe(true);
      const opened = await openSpace(engine.config, engine.options);
      expect(opened.isDamaged).toBe(false);
      expectSame(opened, exact, all);
    }
  });

  test('is not needed for a segment of which nothing is left', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100, snapshotKeepMs: 0 });
    apply(space, 1, puts.slice(0, PART));
    await seal(space);
    apply(space, 2, [], all.slice(0, PART));
    space.upkeep.tick(1, false);
    expect(space.upkeep.giveMerge()).toBeUndefined();
    expect(space.engine.segments.sealed).toHaveLength(0);
    expect(await space.engine.recall({ embedding: queries[0]!, k: 10 })).toEqual([]);
  });
});

describe('the plan of merges', () => {
  const limits = { segmentBytesMax: 100, mergedBytesMax: 1_600 };
  const of = (number: number, bytes: number, removable = 0) => ({
    number,
    bytes,
    rows: 100,
    removable,
  });

  test('takes four of one size, the smallest first', () => {
    const small = [1, 2, 3, 4, 5].map((number) => of(number, 100));
    const large = [6, 7, 8, 9].map((number) => of(number, 400));
    const plan = planMerge([...large, ...small], limits);
    expect(plan?.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(planMerge(large, limits)).toHaveLength(4);
    expect(planMerge([...large.slice(1), ...small.slice(2)], limits)).toBeUndefined();
  });

  test('never makes a segment larger than the largest', () => {
    expect(
      planMerge(
        [1, 2, 3, 4].map((number) => of(number, 401)),
        limits,
      ),
    ).toBeUndefined();
  });

  test('takes a segment alone when a quarter of it can be removed', () => {
    expect(planMerge([of(1, 100, 24), of(2, 5_000, 25)], limits)).toMatchObject([{ number: 2 }]);
    expect(planMerge([of(1, 100, 24)], limits)).toBeUndefined();
  });
});
