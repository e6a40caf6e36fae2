import { expect, test } from 'vitest';
import { clustered } from './frames.ts';
import { openSpace } from '../src/open-space.ts';
import { apply, graph, recallAt, seal, spaceOf } from './spaces.ts';

const DIMENSION = 24;

function pair(metric: 'cosine' | 'l2' | 'ip') {
  const config = { dimension: DIMENSION, metric, m: 16, efConstruction: 64 } as const;
  const space = spaceOf(config, { graphThreshold: 500 });
  const exact = spaceOf(config, { graphThreshold: 1e9 });
  let sequence = 0;
  let row = 0;
  const put = (embeddings: readonly Float32Array[]) => {
    const puts = embeddings.map((embedding) => ({ id: `row ${row++}`, embedding }));
    sequence++;
    for (const each of [space, exact]) apply(each, sequence, puts);
  };
  return { space, exact, put };
}

const times = (vectors: readonly Float32Array[], factor: number) =>
  vectors.map((vector) => vector.map((value) => value * factor));

test.each(['l2', 'ip'] as const)(
  'later rows that are a hundred times as large are told apart (%s)',
  async (metric) => {
    const { space, exact, put } = pair(metric);
    const vectors = clustered(3_020, DIMENSION, 5);
    put(times(vectors.slice(0, 1_000), 0.01));
    graph(space);
    put(vectors.slice(1_000, 3_000));
    graph(space);
    expect(space.engine.segments.growing.graphedTo).toBe(3_000);
    expect(await recallAt(10, space, exact, vectors.slice(3_000))).toBeGreaterThanOrEqual(0.95);
  },
);

test('rows that have much in common are told apart, also after they were read back', async () => {
  const { space, exact, put } = pair('cosine');
  const vectors = clustered(2_020, DIMENSION, 5).map((vector) => vector.map((x) => x + 30));
  put(vectors.slice(0, 2_000));
  const queries = vectors.slice(2_000);
  graph(space);
  expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
  await seal(space);
  expect(await space.upkeep.unload()).toBe(true);
  const { config, options } = space.engine;
  const opened = await openSpace(config, options);
  expect(opened.isDamaged).toBe(false);
  expect(await recallAt(10, opened, exact, queries)).toBeGreaterThanOrEqual(0.95);
});

test('rows behind very many that are equal are found', async () => {
  const { space, exact, put } = pair('l2');
  const vectors = clustered(520, DIMENSION, 5);
  put(Array.from({ length: 4_000 }, () => vectors[0]!));
  put(vectors.slice(1, 500));
  graph(space);
  const queries = vectors.slice(500);
  let found = 0;
  for (const embedding of queries) {
    const right = (await exact.engine.recall({ embedding, k: 10 })).map(({ score }) => score);
    const hits = await space.engine.recall({ embedding, k: 10 });
    found += hits.filter(({ score }) => score <= right.at(-1)!).length;
  }
  expect(found / (10 * queries.length)).toBeGreaterThanOrEqual(0.75);
});
