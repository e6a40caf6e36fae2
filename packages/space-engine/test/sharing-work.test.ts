import { describe, expect, test } from 'vitest';
import type { OpenSpace } from '../src/open-space.ts';
import { UNHURRIED } from '../src/pace.ts';
import { buildSegment } from '../src/segment-build.ts';
import { clustered } from './frames.ts';
import { apply, expectSame, finish, graph, ids, recallAt, seal, spaceOf } from './spaces.ts';

// Blocks of 256 rows: some hundred rows are several blocks, and a segment is split between two.
const DIMENSION = 1_024;
const BLOCK = 256;
const ROWS = 1_000;
const vectors = clustered(ROWS + 100, DIMENSION, 21);
const queries = vectors.slice(ROWS, ROWS + 10);
const puts = vectors.slice(0, ROWS).map((embedding, i) => ({
  id: `row ${i}`,
  embedding,
  metadata: { text: 'x'.repeat(i % 11) },
}));
const all = ids(puts);

function pairOf() {
  const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100 });
  const exact = spaceOf({ dimension: DIMENSION }, { graphThreshold: Infinity });
  const both = (...args: Parameters<typeof apply> extends [unknown, ...infer T] ? T : never) => {
    for (const each of [exact, space]) expect(apply(each, ...args).errors).toEqual([]);
  };
  both(1, puts);
  expect(space.engine.segments.growing.stored.blockRows).toBe(BLOCK);
  return { space, exact, both };
}

async function expectWhole({
  space,
  exact,
}: {
  space: OpenSpace;
  exact: OpenSpace;
}): Promise<void> {
  expectSame(space, exact, all);
  expect(await recallAt(10, space, exact, queries.slice(0, 5))).toBeGreaterThanOrEqual(0.95);
  const k = exact.engine.count + 1;
  const hits = ids(await space.engine.recall({ embedding: queries[0]!, k, ef: k }));
  const right = ids(await exact.engine.recall({ embedding: queries[0]!, k }));
  expect(hits.sort()).toEqual(right.sort());
}

describe('work that is given away', () => {
  test('is the later half of what waits, and every row is found before, during and after', async () => {
    const pair = pairOf();
    const { space, both } = pair;
    const { engine, upkeep } = space;
    both(2, [{ id: 'row 900', embedding: queries[3]! }], ['row 0', 'row 600', 'row 800']);
    await expectWhole(pair);
    const begun = engine.segments.growing;
    while (begun.graphedTo < 40) upkeep.buildGraph(() => true);
    const { graphedTo } = begun;
    expect(graphedTo).toBeLessThan(BLOCK);
    const job = (await upkeep.giveWork(100))!;
    // Half of what waits ends in the third block; the fourth begins with row 768.
    expect(job.inputs).toMatchObject([{ rows: ROWS + 1 - 3 * BLOCK }]);
    expect(engine.segments.memory.map(({ rows }) => rows)).toEqual([768, ROWS + 1 - 768, 0]);
    expect(engine.segments.memory[0]!.deaths.count).toBe(2);
    expect(engine.segments.memory[1]!.deaths.count).toBe(2);
    expect(upkeep.backlog).toBe(768 - graphedTo);
    expect(engine.backlog).toBe(ROWS + 1 - graphedTo);
    await expectWhole(pair);
    // What comes meanwhile goes to neither; deaths reach both.
    both(3, [{ id: 'new', embedding: queries[5]! }], ['row 1', 'row 770']);
    expect(engine.segments.growing.rows).toBe(1);
    const built = await buildSegment(job, UNHURRIED);
    both(4, [{ id: 'row 771', embedding: queries[6]! }], ['row 601', 'row 772']);
    await expectWhole(pair);
    await upkeep.finish(built);
    expect(engine.segments.sealed).toMatchObject([{ rows: ROWS + 1 - 768, deaths: { count: 5 } }]);
    expect(engine.segments.memory.map(({ rows }) => rows)).toEqual([768, 2]);
    await expectWhole(pair);
    graph(space);
    await seal(space);
    expect(engine.segments.sealed).toHaveLength(3);
    await expectWhole(pair);
  });

  test('is a whole segment where another one waits too', async () => {
    const pair = pairOf();
    const { space, both } = pair;
    space.engine.segments.roll();
    both(
      2,
      puts.slice(0, 200).map(({ id }, i) => ({ id, embedding: vectors[ROWS - i]! })),
    );
    const job = await space.upkeep.giveWork(100);
    expect(job?.inputs).toMatchObject([{ rows: ROWS }]);
    // The other one has one block only, which is its owner's.
    expect(await space.upkeep.giveWork(100)).toBeUndefined();
    graph(space);
    expect(space.engine.backlog).toBe(ROWS);
    await expectWhole(pair);
    await finish(space, job);
    expect(space.upkeep.isIndexed).toBe(true);
    await expectWhole(pair);
  });

  test('is given to several at once', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100 });
    const exact = spaceOf({ dimension: DIMENSION }, { graphThreshold: Infinity });
    for (const each of [exact, space]) apply(each, 1, puts.slice(0, 400));
    space.engine.segments.roll();
    for (const each of [exact, space]) apply(each, 2, puts.slice(400));
    const jobs = [await space.upkeep.giveWork(100), await space.upkeep.giveWork(100)];
    expect(jobs.map((job) => job?.inputs[0]!.rows)).toEqual([600, 400 - BLOCK]);
    const whole = { space, exact };
    await expectWhole(whole);
    for (const job of jobs.toReversed()) await finish(space, job);
    expect(space.engine.segments.sealed).toHaveLength(2);
    await expectWhole(whole);
    graph(space);
    await expectWhole(whole);
  });

  test('leaves no living row behind the dead of its block (E2)', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 1 });
    const living = [...all.slice(0, 100), 'row 300', 'row 700'];
    apply(space, 1, puts.slice(0, 800));
    apply(
      space,
      2,
      [],
      all.slice(0, 800).filter((id) => !living.includes(id)),
    );
    expect(await space.upkeep.giveWork(10)).toMatchObject({ inputs: [{ rows: 800 - 2 * BLOCK }] });
    for (const near of [310, 710]) {
      const hits = await space.engine.recall({ embedding: vectors[near]!, k: 102 });
      expect(ids(hits).sort()).toEqual([...living].sort());
    }
  });

  test('comes back when it is abandoned, and is built here', async () => {
    const pair = pairOf();
    const { space, both } = pair;
    const { engine, upkeep } = space;
    const job = (await upkeep.giveWork(100))!;
    const built = await buildSegment(job, UNHURRIED);
    both(2, [], ['row 999']);
    upkeep.abandon(job.id);
    expect(upkeep.backlog).toBe(ROWS);
    await expectWhole(pair);
    // Too late: its rows may be elsewhere by now.
    await upkeep.finish(built);
    expect(engine.segments.sealed).toHaveLength(0);
    await seal(space);
    expect(engine.backlog).toBe(0);
    expect(engine.segments.sealed).toHaveLength(2);
    await expectWhole(pair);
  });

  test('is not worth it below so many rows, nor where there is no graph', async () => {
    const { space } = pairOf();
    expect(await space.upkeep.giveWork(ROWS + 1)).toBeUndefined();
    const small = spaceOf({ dimension: 4 });
    apply(small, 1, [{ id: 'a', embedding: [1, 2, 3, 4] }]);
    expect(await small.upkeep.giveWork(1)).toBeUndefined();
  });

  test('keeps a space from being unloaded until it is done', async () => {
    const { space } = pairOf();
    const job = await space.upkeep.giveWork(100);
    graph(space);
    expect(await space.upkeep.unload()).toBe(false);
    await finish(space, job);
    expect(await space.upkeep.unload()).toBe(true);
  });

  test('is no longer wanted after the space was emptied', async () => {
    const { space } = pairOf();
    const job = (await space.upkeep.giveWork(100))!;
    const built = await buildSegment(job, UNHURRIED);
    await space.upkeep.destroy();
    await space.upkeep.finish(built);
    expect(space.engine.segments.all).toEqual([]);
  });
});
