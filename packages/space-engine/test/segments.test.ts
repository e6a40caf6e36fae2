import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { METRICS, type Metric, type SpaceOptions } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { clustered, filterOf } from './frames.ts';
import { apply, expectSame, graph, ids, recallAt, seal, spaceOf } from './spaces.ts';

const DIMENSION = 24;
const ROWS = 900;
const vectors = clustered(ROWS + 40, DIMENSION, 5);
const queries = vectors.slice(ROWS);
const puts = vectors.slice(0, ROWS).map((embedding, i) => ({
  id: `row ${i}`,
  embedding,
  ...(i % 3 === 0 ? {} : { metadata: { n: i, tag: 'é'.repeat(i % 7) } }),
  ...(i % 4 === 0 ? {} : { timestamp: i - 5 }),
}));

type Choice = Pick<SpaceOptions, 'engine' | 'quantization'>;
const CHOICES: readonly Choice[] = [
  { engine: 'usearch', quantization: 'i8' },
  { engine: 'usearch', quantization: 'bf16' },
  { engine: 'usearch', quantization: 'f16' },
  { engine: 'usearch', quantization: 'f32' },
  { engine: 'hnswlib', quantization: 'f32' },
];

/** The same writes to a space with graphs and to one that scans everything. */
function pairOf(choice: Choice, metric: Metric) {
  const config = { dimension: DIMENSION, metric, ...choice };
  const exact = spaceOf(config, { graphThreshold: Infinity });
  const space = spaceOf(config, { graphThreshold: 100 });
  const both = (...args: Parameters<typeof apply> extends [unknown, ...infer T] ? T : never) => {
    for (const each of [exact, space]) expect(apply(each, ...args).errors).toEqual([]);
  };
  return { exact, space, both };
}

for (const choice of CHOICES)
  for (const metric of METRICS)
    test(`rows live on in files as they were in memory (${choice.engine}, ${choice.quantization}, ${metric})`, async () => {
      const { exact, space, both } = pairOf(choice, metric);
      for (let i = 0; i < ROWS; i += 300) both(i + 1, puts.slice(i, i + 300));
      await seal(space);
      const { engine } = space;
      expect(engine.segments.sealed).toMatchObject([{ rows: ROWS }]);
      expect(engine.stats).toMatchObject({ count: ROWS, indexed: ROWS, segments: 1 });
      expect(engine.stats.diskBytes).toBeGreaterThan(ROWS * DIMENSION * 4);
      expect(engine.stats.mappedBytes > 0).toBe(choice.engine === 'usearch');
      expectSame(space, exact, ids(puts));
      expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
      // Overwrites, among them one that is now far away, and deletes of rows in the file.
      const moved = puts.slice(0, 50).map(({ id }, i) => ({ id, embedding: queries[i % 20]! }));
      both(ROWS + 1, moved, ids(puts.slice(100, 200)));
      expectSame(space, exact, ids(puts));
      expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
      const hits = ids(await engine.recall({ embedding: queries[0]!, k: 1_000 }));
      expect(hits).toHaveLength(ROWS - 100);
      expect(new Set(hits).size).toBe(ROWS - 100);
    });

describe('a sealed segment', () => {
  const choice = CHOICES[0]!;

  test('knows an id again, whatever follows it in the file', async () => {
    const space = spaceOf({ dimension: 1 }, { graphThreshold: 1 });
    const close = ['a', 'aa', 'ab', 'b', 'é', 'e', '{"n":1}'];
    apply(
      space,
      1,
      close.map((id, i) => ({ id, embedding: [i + 1], metadata: { n: 1 } })),
    );
    await seal(space);
    close.forEach((id, i) => expect(space.engine.get(id)?.embedding[0]).toBe(i + 1));
    for (const id of ['', 'aaa', 'a{', 'n']) expect(space.engine.get(id)).toBeUndefined();
  });

  test('takes the place of rows that die while it is written', async () => {
    const { exact, space, both } = pairOf(choice, 'cosine');
    both(1, puts);
    space.engine.segments.roll();
    graph(space);
    const sealing = space.upkeep.tend();
    both(2, [{ id: 'row 1', embedding: queries[1]! }], ['row 0']);
    // One thing writes at a time.
    expect(await space.upkeep.tend()).toBe(false);
    expect(await space.upkeep.unload()).toBe(false);
    expect(await sealing).toBe(true);
    expect(space.engine.segments.sealed).toHaveLength(1);
    expect(space.engine.segments.sealed[0]!.deaths.count).toBe(2);
    expectSame(space, exact, ids(puts));
  });

  test('is found with the rows that came after it, once they are sealed too', async () => {
    const { exact, space, both } = pairOf(choice, 'l2');
    for (let part = 0; part < 3; part++) {
      both(part + 1, puts.slice(part * 300, part * 300 + 300));
      if (part < 2) await seal(space);
    }
    expect(space.engine.segments.sealed).toHaveLength(2);
    expect(space.engine.segments.growing.graphedTo).toBe(0);
    expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
    const filter = filterOf({ n: { $gte: 250, $lt: 350 } });
    expect(await recallAt(100, space, exact, queries, { filter })).toBe(1);
    graph(space);
    expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
  });

  test('is written when a segment is full, and begun anew', async () => {
    const bytes = 300 * (DIMENSION * 4 + 32);
    const space = spaceOf(
      { dimension: DIMENSION },
      { graphThreshold: 1e9, segmentBytesMax: bytes },
    );
    const { engine, upkeep } = space;
    for (let i = 0; i < ROWS; i += 100) {
      apply(space, i + 1, puts.slice(i, i + 100));
      upkeep.roll();
    }
    expect(engine.segments.memory.length).toBeGreaterThan(2);
    expect(engine.needsGraph).toBe(true);
    expect(upkeep.isUntended).toBe(false);
    graph(space);
    expect(upkeep.isUntended).toBe(true);
    while (await upkeep.tend()) continue;
    expect(engine.segments.memory).toHaveLength(1);
    expect(engine.stats.count).toBe(ROWS);
    const names = await readdir(engine.options.folder);
    const numbers = engine.segments.sealed.map(({ file }) => file.path.split('/').at(-1));
    expect(names.filter((name) => name.endsWith('.rows')).sort()).toEqual(numbers.sort());
  });

  test('is rewritten when most of what grew had died, so that its graph stays small', () => {
    const space = spaceOf({ dimension: 2 }, { graphThreshold: 100 });
    const rows = Array.from({ length: 5_000 }, (_, i) => ({ id: `r${i}`, embedding: [1, i] }));
    apply(space, 1, rows);
    space.upkeep.buildGraph(() => true);
    apply(space, 2, [], ids(rows.slice(0, 4_100)));
    const before = space.engine.segments.growing;
    space.upkeep.roll();
    expect(space.engine.segments.growing).not.toBe(before);
  });
});

test('a space that is destroyed leaves nothing behind', async () => {
  const { space, both } = pairOf(CHOICES[0]!, 'cosine');
  both(1, puts);
  await seal(space);
  expect(existsSync(space.engine.options.folder)).toBe(true);
  await space.upkeep.destroy();
  expect(existsSync(space.engine.options.folder)).toBe(false);
});
