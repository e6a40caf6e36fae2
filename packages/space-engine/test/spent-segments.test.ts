import { describe, expect, test } from 'vitest';
import { clustered, optionsOf, configOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { emptySpace, openSpace } from '../src/open-space.ts';
import { apply, checkpoint, expectSame, graph, ids, recallAt, seal, spaceOf } from './spaces.ts';

const DIMENSION = 16;
const ROWS = 1_600;
const KEEP_MS = 1_000;
const vectors = clustered(ROWS * 2 + 20, DIMENSION, 9);
const queries = vectors.slice(ROWS * 2);
const first = vectors.slice(0, ROWS).map((embedding, i) => ({ id: `row ${i}`, embedding }));
const second = first.map(({ id }, i) => ({ id, embedding: vectors[ROWS + i]! }));
const all = ids(first);
const options = { graphThreshold: 100, snapshotKeepMs: KEEP_MS };
const before = { high: 0, normal: 1, low: 0 };

/** All but some rows of the first segment were written again, into the one that grows. */
function writtenAgain(living: number) {
  const config = { dimension: DIMENSION } as const;
  const space = spaceOf(config, options);
  const exact = spaceOf(config, { ...options, graphThreshold: Infinity });
  for (const each of [space, exact]) {
    apply(each, 1, first);
    if (each === space) space.engine.segments.roll();
    apply(each, 2, second.slice(living));
  }
  return { space, exact };
}

async function expectWhole({ space, exact }: ReturnType<typeof writtenAgain>): Promise<void> {
  expectSame(space, exact, all);
  expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
  const hits = ids(await space.engine.recall({ embedding: queries[0]!, k: ROWS }));
  expect(hits.sort()).toEqual([...all].sort());
}

describe.each([0, 1, 99])('a segment of which %i of 1,600 rows live', (living) => {
  test('gets no graph and no file, is searched, and goes once its dead may be removed', async () => {
    const pair = writtenAgain(living);
    const { engine, upkeep } = pair.space;
    const [spent] = engine.segments.memory;
    graph(pair.space);
    expect(spent).toMatchObject({ isSpent: true, graphedTo: 0 });
    expect(upkeep).toMatchObject({ isIndexed: true, isUntended: false, backlog: 0 });
    expect(await upkeep.tend()).toBe(false);
    expect(await upkeep.giveWork(1)).toBeUndefined();
    await expectWhole(pair);
    upkeep.tick(0, false);
    upkeep.tick(KEEP_MS - 1, false);
    expect(engine.segments.memory).toContain(spent);
    const asOf = await engine.recall({ embedding: first[7]!.embedding, k: ROWS, asOf: before });
    expect(ids(asOf).sort()).toEqual([...all].sort());
    const { changes } = upkeep;
    upkeep.tick(KEEP_MS, false);
    expect(engine.segments.memory).not.toContain(spent);
    expect(upkeep.changes).toBeGreaterThan(changes);
    const rows = engine.segments.memory.reduce((sum, segment) => sum + segment.rows, 0);
    expect(rows).toBe(ROWS);
    await expectWhole(pair);
    const gone = engine.recall({ embedding: first[7]!.embedding, k: 1, asOf: before });
    await expect(gone).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
    await seal(pair.space);
    await expectWhole(pair);
  });

  test('goes at once where memory is short', async () => {
    const pair = writtenAgain(living);
    pair.space.upkeep.tick(0, true);
    const { memory } = pair.space.engine.segments;
    expect(memory.reduce((sum, { rows }) => sum + rows, 0)).toBe(ROWS);
    await expectWhole(pair);
  });
});

test('one of which a row dies now and then is rid of the others all the same', async () => {
  const pair = writtenAgain(99);
  const { engine, upkeep } = pair.space;
  const [spent] = engine.segments.memory;
  for (let i = 0; i <= 10; i++) {
    upkeep.tick((i * KEEP_MS) / 2, false);
    for (const each of [pair.space, pair.exact]) apply(each, 3 + i, second.slice(i, i + 1));
  }
  expect(engine.segments.memory).not.toContain(spent);
  const rows = engine.segments.memory.reduce((sum, segment) => sum + segment.rows, 0);
  expect(rows).toBeLessThan(ROWS + 20);
  await expectWhole(pair);
});

test('many of them go by and by, and not all in one tick', () => {
  const space = spaceOf({ dimension: 2 }, { graphThreshold: 2, snapshotKeepMs: 0 });
  const { engine, upkeep } = space;
  for (let i = 0; i < 20; i++) {
    engine.segments.roll();
    apply(space, i + 1, [{ id: 'one', embedding: [i, 1] }]);
  }
  upkeep.tick(0, false);
  const { length } = engine.segments.memory;
  expect(length).toBeLessThan(20);
  expect(length).toBeGreaterThan(10);
  for (let i = 0; i < 3; i++) upkeep.tick(0, false);
  expect(engine.segments.memory.filter(({ rows }) => rows > 0)).toHaveLength(1);
});

test('one of which more live gets a graph and a file', async () => {
  const pair = writtenAgain(200);
  graph(pair.space);
  while (await pair.space.upkeep.tend()) continue;
  expect(pair.space.engine.segments.sealed).toMatchObject([{ rows: ROWS }]);
  await expectWhole(pair);
});

test('one whose rows die fast gets no graph until that ends', async () => {
  const { space, exact } = writtenAgain(200);
  const both = (sequence: number, from: number, to: number) => {
    for (const each of [space, exact]) apply(each, sequence, second.slice(from, to));
  };
  const { upkeep, engine } = space;
  const { growing } = engine.segments;
  upkeep.tick(0, false);
  expect(upkeep.backlog).toBeGreaterThan(0);
  both(3, 200, 320); // a twelfth of the growing segment in half a second
  upkeep.tick(500, false);
  expect(growing.isDying).toBe(true);
  graph(space);
  expect(growing.graphedTo).toBe(0);
  expect(upkeep.isIndexed).toBe(false);
  await expectWhole({ space, exact });
  both(4, 320, 330);
  upkeep.tick(1_000, false);
  expect(growing.isDying).toBe(false);
  graph(space);
  expect(upkeep.isIndexed).toBe(true);
  await expectWhole({ space, exact });
});

test('one of a large space gets its graph however fast its rows die', () => {
  const space = spaceOf({ dimension: 2_048 }, options);
  const wide = clustered(3_000, 2_048, 3).map((embedding, i) => ({ id: `row ${i}`, embedding }));
  apply(space, 1, wide);
  space.upkeep.tick(0, false);
  apply(space, 2, wide.slice(0, 900));
  space.upkeep.tick(500, false);
  expect(space.engine.segments.growing.isDying).toBe(true);
  expect(space.upkeep.backlog).toBe(3_900);
});

test('one that is partly in its graph when its rows die is written without it, and read back', async () => {
  const config = configOf({ dimension: DIMENSION });
  const folder = scratchFolder();
  const space = emptySpace(config, optionsOf(folder, options));
  apply(space, 1, first);
  space.upkeep.buildGraph(() => true);
  const { growing } = space.engine.segments;
  expect(growing.graphedTo).toBeGreaterThan(0);
  expect(growing.backlog).toBeGreaterThan(0);
  space.engine.segments.roll();
  apply(space, 2, second.slice(1));
  expect(growing.isSpent).toBe(true);
  await checkpoint(space);
  graph(space);
  expect(await space.upkeep.unload()).toBe(true);
  const opened = await openSpace(config, optionsOf(folder, options));
  const exact = spaceOf({ dimension: DIMENSION }, { graphThreshold: Infinity });
  apply(exact, 1, first);
  apply(exact, 2, second.slice(1));
  await expectWhole({ space: opened, exact });
});
