import { describe, expect, test } from 'vitest';
import { emptySpace } from '../src/open-space.ts';
import { configOf, filterOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { apply, graph, ids, spaceOf } from './spaces.ts';
import { clustered } from './frames.ts';

const query = (...values: number[]) => Float32Array.from(values);

describe('the scores of a space', () => {
  const rows = [
    { id: 'x', embedding: [3, 0] },
    { id: 'y', embedding: [0, 4] },
    { id: 'xy', embedding: [1, 1] },
    { id: '-x', embedding: [-1, 0] },
  ];

  test('are cosine similarities, whatever the lengths', async () => {
    const space = spaceOf({ dimension: 2, metric: 'cosine' });
    apply(space, 1, rows);
    const hits = await space.engine.recall({ embedding: query(2, 0), k: 4 });
    expect(ids(hits)).toEqual(['x', 'xy', 'y', '-x']);
    [1, Math.SQRT1_2, 0, -1].forEach((score, i) => expect(hits[i]!.score).toBeCloseTo(score, 6));
  });

  test('are inner products for ip, with longer ones first', async () => {
    const space = spaceOf({ dimension: 2, metric: 'ip' });
    apply(space, 1, rows);
    const hits = await space.engine.recall({ embedding: query(2, 1), k: 4 });
    expect(hits.map(({ id, score }) => [id, score])).toEqual([
      ['x', 6],
      ['y', 4],
      ['xy', 3],
      ['-x', -2],
    ]);
  });

  test('are Euclidean distances for l2, with nearer ones first', async () => {
    const space = spaceOf({ dimension: 2, metric: 'l2' });
    apply(space, 1, rows);
    const hits = await space.engine.recall({ embedding: query(3, 4), k: 4 });
    expect(ids(hits)).toEqual(['y', 'xy', 'x', '-x']);
    [3, Math.sqrt(13), 4, Math.sqrt(32)].forEach((score, i) =>
      expect(hits[i]!.score).toBeCloseTo(score, 6),
    );
  });

  test('are the same whether a row is found by the graph or by the scan', async () => {
    const vectors = clustered(60, 8, 3);
    const puts = vectors.map((embedding, i) => ({ id: `v${i}`, embedding }));
    for (const metric of ['cosine', 'ip', 'l2'] as const) {
      const scanned = spaceOf({ dimension: 8, metric }, { graphThreshold: Infinity });
      const graphed = spaceOf({ dimension: 8, metric }, { graphThreshold: 10 });
      for (const space of [scanned, graphed]) apply(space, 1, puts);
      graph(graphed);
      expect(graphed.engine.segments.growing.graphedTo).toBe(60);
      const ask = { embedding: vectors[7]!, k: 60, ef: 256 };
      expect(await graphed.engine.recall(ask)).toEqual(await scanned.engine.recall(ask));
    }
  });
});

test('an exact recall finds what a poor graph misses', async () => {
  const vectors = clustered(2_000, 24, 5);
  const puts = vectors.map((embedding, i) => ({ id: `v${i}`, embedding }));
  const poor = { dimension: 24, m: 2, efConstruction: 4, quantization: 'i8' } as const;
  const scanned = spaceOf(poor, { graphThreshold: Infinity });
  const graphed = spaceOf(poor, { graphThreshold: 10 });
  for (const space of [scanned, graphed]) apply(space, 1, puts);
  graph(graphed);
  const asked = vectors.filter((_, i) => i % 50 === 0);
  const right = await Promise.all(
    asked.map((embedding) => scanned.engine.recall({ embedding, k: 10 })),
  );
  const found = (exact: boolean) =>
    Promise.all(
      asked.map((embedding) => graphed.engine.recall({ embedding, k: 10, ef: 10, exact })),
    );
  expect(await found(true)).toEqual(right);
  expect(await found(false)).not.toEqual(right);
});

describe('what a space keeps', () => {
  test('is embedding, metadata, timestamp and sequence as they were written', () => {
    const space = spaceOf({ dimension: 3 });
    const metadata = { tag: 'é', nested: { list: [1, null] } };
    apply(space, 9, [{ id: 'a', embedding: [1, 2, 3], metadata, timestamp: -5 }]);
    const found = space.engine.get('a')!;
    expect([...found.embedding]).toEqual([1, 2, 3]);
    expect(JSON.parse(found.metadata!)).toEqual(metadata);
    expect(found).toMatchObject({ id: 'a', sequence: 9, timestamp: -5 });
    apply(space, 10, [{ id: 'b', embedding: [1, 2, 3] }]);
    expect(space.engine.get('b')).toMatchObject({ metadata: undefined, timestamp: NaN });
  });

  test('is what it answers, as a copy', async () => {
    const space = spaceOf({ dimension: 2 });
    apply(space, 1, [{ id: 'a', embedding: [1, 2] }]);
    space.engine.get('a')!.embedding.fill(9);
    (await space.engine.recall({ embedding: query(1, 0), k: 1 }))[0]!.embedding.fill(9);
    expect([...space.engine.get('a')!.embedding]).toEqual([1, 2]);
  });

  test('is under ids of any script, each byte of which counts', () => {
    const space = spaceOf({ dimension: 1 });
    const all = ['é', 'e\u0301', '日本', '🙂', 'a', 'a ', 'A', 'x'.repeat(256)];
    apply(
      space,
      1,
      all.map((id, i) => ({ id, embedding: [i + 1] })),
    );
    expect(space.engine.count).toBe(all.length);
    all.forEach((id, i) => {
      expect(space.engine.get(id)?.embedding[0]).toBe(i + 1);
      expect(space.engine.get(id)?.id).toBe(id);
    });
    expect(space.engine.get('')).toBeUndefined();
  });

  test('is not what an earlier space of the same name was sent', () => {
    const config = { ...configOf({ dimension: 1 }), afterSequence: 10 };
    const { engine } = emptySpace(config, optionsOf(scratchFolder()));
    const frame = frameOf([{ id: 'a', embedding: [1] }], ['b']);
    expect(engine.apply(frame, 10, 'normal')).toEqual({ applied: 0, stale: 2, errors: [] });
    expect(engine.get('a')).toBeUndefined();
    expect(engine.apply(frame, 11, 'normal')).toEqual({ applied: 2, stale: 0, errors: [] });
  });

  test('is nothing in an empty space, which answers all the same', async () => {
    const { engine, upkeep, isDamaged } = spaceOf({ dimension: 2 });
    const embedding = query(1, 0);
    expect(isDamaged).toBe(false);
    expect(await engine.recall({ embedding, k: 10 })).toEqual([]);
    expect(await engine.recall({ embedding, k: 10, filter: filterOf({}) })).toEqual([]);
    const asOf = { high: 0, normal: 0, low: 0 };
    expect(await engine.recall({ embedding, k: 10, asOf })).toEqual([]);
    expect(engine.get('a')).toBeUndefined();
    expect(upkeep.isIndexed).toBe(true);
    expect(await upkeep.tend()).toBe(false);
    expect(await upkeep.giveWork(1)).toBeUndefined();
    expect(upkeep.giveMerge()).toBeUndefined();
    expect(engine.stats).toMatchObject({
      count: 0,
      indexed: 0,
      tombstones: 0,
      mappedBytes: 0,
      diskBytes: 0,
    });
  });

  test('a put and a delete of one id in one frame leave it deleted', () => {
    const space = spaceOf({ dimension: 1 });
    apply(space, 1, [{ id: 'a', embedding: [1] }], ['a']);
    expect(space.engine.get('a')).toBeUndefined();
    expect(space.engine.stats.count).toBe(0);
  });
});

test('a recall sees one state of the space, though what follows is applied before it answers', async () => {
  const space = spaceOf({ dimension: 2, metric: 'l2' }, { graphThreshold: 20 });
  const rows = Array.from({ length: 60 }, (_, i) => ({ id: `r${i}`, embedding: [i, 1] }));
  apply(space, 1, rows.slice(0, 30));
  graph(space);
  space.engine.segments.roll();
  apply(space, 2, rows.slice(30));
  const asked = space.engine.recall({ embedding: query(0, 1), k: 10 });
  apply(space, 3, [], ids(rows.slice(0, 10)));
  expect(ids(await asked)).toEqual(ids(rows.slice(0, 10)));
  const next = await space.engine.recall({ embedding: query(0, 1), k: 10 });
  expect(ids(next)).toEqual(ids(rows.slice(10, 20)));
});

describe('a delete', () => {
  test('is remembered until no older entry can come', () => {
    const space = spaceOf({ dimension: 1 });
    const { engine } = space;
    apply(space, 5, [], ['a']);
    expect(engine.stats.tombstones).toBe(1);
    engine.complete(3);
    expect(engine.stats.tombstones).toBe(1);
    expect(apply(space, 4, [{ id: 'a', embedding: [1] }])).toMatchObject({ stale: 1 });
    expect(engine.get('a')).toBeUndefined();
    engine.complete(5);
    expect(engine.stats.tombstones).toBe(0);
    expect(apply(space, 4, [{ id: 'a', embedding: [1] }])).toMatchObject({ stale: 1, applied: 0 });
    expect(engine.get('a')).toBeUndefined();
    expect(apply(space, 6, [{ id: 'a', embedding: [1] }])).toMatchObject({ applied: 1 });
  });

  test('is forgotten with a newer put, and that put alone counts', () => {
    const space = spaceOf({ dimension: 1 });
    apply(space, 5, [], ['a']);
    apply(space, 7, [{ id: 'a', embedding: [7] }]);
    expect(space.engine.stats.tombstones).toBe(0);
    apply(space, 3, [{ id: 'a', embedding: [3] }]);
    apply(space, 6, [], ['a']);
    expect(space.engine.get('a')).toMatchObject({ sequence: 7 });
  });

  test('of an id that is no text takes nothing else with it', () => {
    const space = spaceOf({ dimension: 1 });
    const frame = frameOf([], ['xx']);
    frame.text[0] = 0xff;
    frame.text[1] = 0xfe;
    expect(space.engine.apply(frame, 5, 'normal').errors).toEqual([]);
    const shown = frame.id(0);
    expect(shown).toBe('\ufffd\ufffd');
    expect(apply(space, 3, [{ id: shown, embedding: [3] }])).toMatchObject({ applied: 1 });
    expect(space.engine.get(shown)).toMatchObject({ sequence: 3 });
  });
});
