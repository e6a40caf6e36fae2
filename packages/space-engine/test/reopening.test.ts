import { existsSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LANES, type Engine, type Metric, type SpaceConfig } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import type { EngineOptions } from '../src/options.ts';
import { clustered, configOf, filterOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { apply, expectSame, graph, ids, recallAt, seal, spaceOf } from './spaces.ts';

const DIMENSION = 7;
const vectors = clustered(1_200, DIMENSION, 31);
const queries = vectors.slice(1_150);

/** Entries in order: puts, each some hundred rows later an overwrite or a delete. */
const entries = Array.from({ length: 16 }, (_, part) =>
  frameOf(
    vectors.slice(part * 60, part * 60 + 60).map((embedding, i) => ({
      id: part > 3 && i % 10 === 0 ? `row ${part * 60 - 180 + i}` : `row ${part * 60 + i}`,
      embedding,
      metadata: { n: part * 60 + i, even: i % 2 === 0 },
      ...(i % 3 === 0 ? {} : { timestamp: part }),
    })),
    part > 2 ? [1, 2, 3].map((i) => `row ${part * 60 - 120 + i}`) : [],
  ),
);
const all = Array.from({ length: 960 }, (_, i) => `row ${i}`);

function replay({ engine }: OpenSpace, from = 0, to = entries.length): void {
  for (let i = from; i < to; i++)
    expect(engine.apply(entries[i]!, i + 1, LANES[i % 3]!).errors).toEqual([]);
}

function exactSpace(to = entries.length, metric: Metric = 'cosine'): OpenSpace {
  const exact = spaceOf({ dimension: DIMENSION, metric }, { graphThreshold: Infinity });
  replay(exact, 0, to);
  return exact;
}

/** The engine is dropped as it is, as when the process ends. */
async function crash({ engine }: OpenSpace, config = engine.config): Promise<OpenSpace> {
  engine.segments.close();
  return openSpace(config, engine.options);
}

async function unload(space: OpenSpace): Promise<OpenSpace> {
  expect(await space.upkeep.unload()).toBe(true);
  const opened = await openSpace(space.engine.config, space.engine.options);
  expect(opened.isDamaged).toBe(false);
  return opened;
}

async function expectAnswers(space: OpenSpace, exact: OpenSpace): Promise<void> {
  expectSame(space, exact, all);
  expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
  const filter = filterOf({ even: true, n: { $lt: 500 } });
  expect(await recallAt(1_000, space, exact, queries.slice(0, 3), { filter })).toBe(1);
  const hits = await space.engine.recall({ embedding: queries[0]!, k: 1_000, ef: 1_000 });
  expect(new Set(ids(hits)).size).toBe(exact.engine.count);
}

const newSpace = (
  options: Partial<EngineOptions> = {},
  config: Partial<SpaceConfig> = {},
): OpenSpace =>
  emptySpace(
    { ...configOf({ dimension: DIMENSION }), ...config },
    optionsOf(scratchFolder(), { graphThreshold: 100, ...options }),
  );

describe('a space that was unloaded', () => {
  test.each([
    ['createdAt', { createdAt: '2020-01-01T00:00:00.000Z' }],
    ['metric', { metric: 'l2' }],
    ['m', { m: 17 }],
    ['efConstruction', { efConstruction: 65 }],
    ['quantization', { quantization: 'f16' }],
    ['engine', { engine: 'hnswlib', quantization: 'f32' }],
  ] as const)(
    'symptom: keeps its rows when its record has another %s now, where it began anew',
    async (_, other) => {
      const exact = exactSpace(entries.length, 'metric' in other ? other.metric : 'cosine');
      const before = newSpace({ segmentBytesMax: 20_000 });
      replay(before);
      await seal(before);
      expect(before.engine.segments.sealed.length).toBeGreaterThan(0);
      expect(await before.upkeep.unload()).toBe(true);
      const config = { ...before.engine.config, ...other };
      const space = await openSpace(config, before.engine.options);
      expect(space.isDamaged).toBe(false);
      await expectAnswers(space, exact);
      await seal(space);
      await expectAnswers(await unload(space), exact);
    },
  );

  test('without a graph answers the same, from one file of rows', async () => {
    const exact = exactSpace();
    let space = newSpace({ graphThreshold: Infinity });
    replay(space);
    for (let time = 0; time < 2; time++) {
      space = await unload(space);
      await expectAnswers(space, exact);
      expect(space.engine.segments.memory).toHaveLength(1);
      const names = await readdir(space.engine.options.folder);
      expect(names.filter((name) => name !== 'manifest')).toEqual(['1.rows']);
    }
    replay(space);
    await expectAnswers(space, exact);
  });

  for (const engine of ['usearch', 'hnswlib'] as const satisfies Engine[])
    test(`with files and rows in memory answers the same (${engine})`, async () => {
      const exact = exactSpace();
      let space = newSpace(
        {},
        { engine, quantization: engine === 'usearch' ? 'i8' : 'f32', metric: 'cosine' },
      );
      replay(space, 0, 6);
      await seal(space);
      replay(space, 6, 11);
      await seal(space);
      replay(space, 11);
      // Rows that wait for a graph would have to be built at the next start.
      expect(await space.upkeep.unload()).toBe(false);
      graph(space);
      space = await unload(space);
      expect(space.engine.segments.sealed).toHaveLength(3);
      await expectAnswers(space, exact);
      // It goes on: new rows, and deaths in every file.
      for (const each of [space, exact])
        apply(each, 20, [{ id: 'row 1', embedding: queries[1]! }], ['row 400', 'row 900']);
      await expectAnswers(space, exact);
      graph(space);
      space = await unload(space);
      expect(space.engine.segments.sealed).toHaveLength(4);
      await expectAnswers(space, exact);
    });

  test('knows up to where the log is in it, and which ids were deleted', async () => {
    let space = newSpace();
    replay(space);
    space.engine.complete(12);
    const { tombstones } = space.engine.stats;
    expect(tombstones).toBeGreaterThan(0);
    graph(space);
    space = await unload(space);
    expect(space.engine.completeTo).toBe(12);
    expect(space.engine.stats.tombstones).toBe(tombstones);
    const late = apply(space, 13, [{ id: 'row 781', embedding: queries[0]! }]);
    expect(late).toEqual({ applied: 0, stale: 1, errors: [] });
    expect(space.engine.get('row 781')).toBeUndefined();
  });

  test('can be rid of what had died in it', async () => {
    let space = newSpace({ snapshotKeepMs: 0 });
    replay(space);
    await seal(space);
    apply(space, 20, [], all.slice(0, 500));
    space = await unload(space);
    space.upkeep.tick(0, false);
    expect(space.upkeep.giveMerge()).toBeDefined();
  });

  test('without a row opens empty, and keeps what it knows of deletes', async () => {
    let space = newSpace();
    apply(space, 9, [], ['row 1']);
    space = await unload(space);
    expect(apply(space, 8, [{ id: 'row 1', embedding: queries[0]! }])).toMatchObject({ stale: 1 });
    expect(space.engine.count).toBe(0);
  });
});

describe('a crash', () => {
  for (const sealedTo of [0, 5, 16])
    test(`after ${sealedTo} of 16 entries were in files costs nothing once the log is replayed`, async () => {
      const exact = exactSpace();
      let space = newSpace();
      replay(space, 0, sealedTo);
      if (sealedTo > 0) await seal(space);
      replay(space, sealedTo);
      space.engine.complete(entries.length);
      space = await crash(space);
      expect(space.isDamaged).toBe(false);
      expect(space.engine.completeTo).toBeLessThanOrEqual(sealedTo);
      replay(space);
      await expectAnswers(space, exact);
      graph(space);
      space = await unload(space);
      await expectAnswers(space, exact);
    });

  test('beside rows in memory leaves nothing of them out, however far the log was complete', async () => {
    const exact = exactSpace();
    let space = newSpace();
    replay(space, 0, 4);
    space.engine.segments.roll();
    replay(space, 4, 9);
    space.engine.complete(9);
    // The first four entries are sealed, and a manifest written; then everything dies.
    graph(space);
    await space.upkeep.tend();
    expect(space.engine.segments.sealed).toHaveLength(1);
    replay(space, 9);
    space = await crash(space);
    expect(space.engine.completeTo).toBe(4);
    replay(space, 4);
    await expectAnswers(space, exact);
  });

  test('of a process that built for another leaves files that the next manifest removes', async () => {
    let space = newSpace();
    replay(space, 0, 8);
    await seal(space);
    const { folder } = space.engine.options;
    const left = ['77.rows', '77.graph', '78.rows.tmp', '2.graph.tmp', 'manifest.tmp'];
    for (const name of [...left, 'notes.txt']) await writeFile(join(folder, name), 'left over');
    space = await crash(space);
    replay(space, 8);
    await expectAnswers(space, exactSpace());
    await seal(space);
    const names = await readdir(folder);
    expect(names.filter((name) => left.includes(name))).toEqual([]);
    expect(names).toContain('notes.txt');
    space = await unload(space);
    await expectAnswers(space, exactSpace());
  });
});

test.each([
  ['an earlier space of the same name', { afterSequence: 3 }, false],
  ['another dimension, which is damage', { dimension: DIMENSION + 1 }, true],
])('files of %s are not opened', async (_, change, isDamaged) => {
  const space = newSpace();
  replay(space);
  graph(space);
  expect(await space.upkeep.unload()).toBe(true);
  const config = { ...space.engine.config, ...change };
  const faults: unknown[] = [];
  const opened = await openSpace(config, {
    ...space.engine.options,
    onFault: (fault) => faults.push(fault),
  });
  expect(opened.isDamaged).toBe(isDamaged);
  expect(faults).toMatchObject(isDamaged ? [{ code: 'SEGMENT_DAMAGED' }] : []);
  expect(opened.engine.stats).toMatchObject({ count: 0, segments: 0, tombstones: 0 });
  expect(opened.engine.completeTo).toBe(0);
  expect(existsSync(space.engine.options.folder)).toBe(false);
  const embedding = new Float32Array(config.dimension).fill(1);
  expect(apply(opened, 4, [{ id: 'a', embedding }])).toMatchObject({ applied: 1 });
});
