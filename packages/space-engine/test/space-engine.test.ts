import { compileFilter } from '@engram/model';
import { GRAPH_ENGINES } from '@engram/vector-index';
import { describe, expect, test } from 'vitest';
import { SpaceEngine } from '../src/space-engine.ts';
import { clustered, configOf, frameOf } from './frames.ts';

function engineOf(
  options: Parameters<typeof configOf>[0],
  graphRowsMin?: number,
  compactionDeadMin = 4_096,
): SpaceEngine {
  const config = configOf(options);
  return graphRowsMin === undefined
    ? new SpaceEngine(config, GRAPH_ENGINES.hnswlib)
    : new SpaceEngine(config, GRAPH_ENGINES.hnswlib, { graphRowsMin, compactionDeadMin });
}

const never = () => false;
const query = (...values: number[]) => Float32Array.from(values);
const ids = (hits: readonly { readonly id: string }[]) => hits.map(({ id }) => id);

describe('the scores of a space', () => {
  const rows = [
    { id: 'x', embedding: [3, 0] },
    { id: 'y', embedding: [0, 4] },
    { id: 'xy', embedding: [1, 1] },
    { id: '-x', embedding: [-1, 0] },
  ];

  test('are cosine similarities, whatever the lengths', () => {
    const engine = engineOf({ dimension: 2, metric: 'cosine' });
    engine.apply(frameOf(rows), 1);
    const hits = engine.recall({ embedding: query(2, 0), k: 4 });
    expect(ids(hits)).toEqual(['x', 'xy', 'y', '-x']);
    [1, Math.SQRT1_2, 0, -1].forEach((score, i) => expect(hits[i]!.score).toBeCloseTo(score, 6));
  });

  test('are inner products for ip, with longer ones first', () => {
    const engine = engineOf({ dimension: 2, metric: 'ip' });
    engine.apply(frameOf(rows), 1);
    const hits = engine.recall({ embedding: query(2, 1), k: 4 });
    expect(hits.map(({ id, score }) => [id, score])).toEqual([
      ['x', 6],
      ['y', 4],
      ['xy', 3],
      ['-x', -2],
    ]);
  });

  test('are Euclidean distances for l2, with nearer ones first', () => {
    const engine = engineOf({ dimension: 2, metric: 'l2' });
    engine.apply(frameOf(rows), 1);
    const hits = engine.recall({ embedding: query(3, 4), k: 4 });
    expect(ids(hits)).toEqual(['y', 'xy', 'x', '-x']);
    [3, Math.sqrt(13), 4, Math.sqrt(32)].forEach((score, i) =>
      expect(hits[i]!.score).toBeCloseTo(score, 6),
    );
  });

  test('are the same whether a row is found by the graph or by the scan', () => {
    const vectors = clustered(60, 8, 3);
    const puts = vectors.map((embedding, i) => ({ id: `v${i}`, embedding }));
    for (const metric of ['cosine', 'ip', 'l2'] as const) {
      const scanned = engineOf({ dimension: 8, metric });
      const graphed = engineOf({ dimension: 8, metric }, 10);
      for (const engine of [scanned, graphed]) engine.apply(frameOf(puts), 1);
      graphed.buildGraph(never);
      const ask = { embedding: vectors[7]!, k: 60, ef: 256 };
      expect(graphed.recall(ask)).toEqual(scanned.recall(ask));
    }
  });
});

describe('what a space keeps', () => {
  test('is embedding, metadata, timestamp and sequence as they were written', () => {
    const engine = engineOf({ dimension: 3 });
    const metadata = { tag: 'é', nested: { list: [1, null] } };
    engine.apply(frameOf([{ id: 'a', embedding: [1, 2, 3], metadata, timestamp: -5 }]), 9);
    const found = engine.get('a')!;
    expect([...found.embedding]).toEqual([1, 2, 3]);
    expect(JSON.parse(found.metadata!)).toEqual(metadata);
    expect(found).toMatchObject({ id: 'a', sequence: 9, timestamp: -5 });
    engine.apply(frameOf([{ id: 'b', embedding: [1, 2, 3] }]), 10);
    expect(engine.get('b')).toMatchObject({ metadata: undefined, timestamp: NaN });
  });

  test('is not what an earlier space of the same name was sent', () => {
    const config = { ...configOf({ dimension: 1 }), afterSequence: 10 };
    const engine = new SpaceEngine(config, GRAPH_ENGINES.hnswlib);
    const frame = frameOf([{ id: 'a', embedding: [1] }], ['b']);
    expect(engine.apply(frame, 10)).toEqual({ applied: 0, stale: 2, errors: [] });
    expect(engine.get('a')).toBeUndefined();
    expect(engine.apply(frame, 11)).toEqual({ applied: 2, stale: 0, errors: [] });
  });

  test('an empty space answers with nothing', () => {
    const engine = engineOf({ dimension: 2 });
    expect(engine.recall({ embedding: query(1, 0), k: 10 })).toEqual([]);
    expect(engine.recall({ embedding: query(1, 0), k: 10, filter: () => true })).toEqual([]);
    expect(engine.get('a')).toBeUndefined();
    expect(engine.isIndexed).toBe(true);
    expect(engine.stats).toMatchObject({ count: 0, indexed: 0, tombstones: 0 });
  });

  test('deletes are remembered until no older entry can come', () => {
    const engine = engineOf({ dimension: 1 });
    engine.apply(frameOf([], ['a']), 5);
    expect(engine.stats.tombstones).toBe(1);
    engine.pruneTombstones(4);
    expect(engine.apply(frameOf([{ id: 'a', embedding: [1] }]), 4)).toMatchObject({ stale: 1 });
    expect(engine.get('a')).toBeUndefined();
    engine.pruneTombstones(5);
    expect(engine.stats.tombstones).toBe(0);
  });

  test('a put and a delete of one id in one frame leave it deleted', () => {
    const engine = engineOf({ dimension: 1 });
    engine.apply(frameOf([{ id: 'a', embedding: [1] }], ['a']), 1);
    expect(engine.get('a')).toBeUndefined();
    expect(engine.stats.count).toBe(0);
  });
});

describe('a bad observation', () => {
  test('of another dimension is refused with its whole frame, but not the deletes in it', () => {
    const engine = engineOf({ dimension: 2 });
    engine.apply(frameOf([{ id: 'old', embedding: [1, 1] }]), 1);
    const frame = frameOf(
      [
        { id: 'a', embedding: [1, 2, 3] },
        { id: 'b', embedding: [1, 2, 3] },
      ],
      ['old'],
    );
    const { applied, errors } = engine.apply(frame, 2);
    expect(applied).toBe(1);
    expect(errors.map(({ index, id, code }) => [index, id, code])).toEqual([
      [0, 'a', 'DIMENSION_MISMATCH'],
      [1, 'b', 'DIMENSION_MISMATCH'],
    ]);
    expect(engine.get('old')).toBeUndefined();
  });

  test('is refused alone, with its reason (E3)', () => {
    const engine = engineOf({ dimension: 2 });
    const good = [1, 2];
    const deep = JSON.parse('{"a":'.repeat(17) + '1' + '}'.repeat(17)) as unknown;
    const { applied, stale, errors } = engine.apply(
      frameOf([
        { id: 'first', embedding: good },
        { id: 'nan', embedding: [NaN, 1] },
        { id: 'infinite', embedding: [1, Infinity] },
        { id: 'zero', embedding: [0, 0] },
        { id: 'long', embedding: [1e19, 1e19] },
        { id: '', embedding: good },
        { id: 'a\nb', embedding: good },
        { id: 'list', embedding: good, metadata: [1] },
        { id: 'deep', embedding: good, metadata: deep },
        { id: 'first', embedding: [5, 5] },
        { id: 'last', embedding: good },
      ]),
      1,
    );
    expect([applied, stale]).toEqual([2, 0]);
    expect(errors.map(({ index, id, code }) => [index, id, code])).toEqual([
      [1, 'nan', 'INVALID_EMBEDDING'],
      [2, 'infinite', 'INVALID_EMBEDDING'],
      [3, 'zero', 'ZERO_EMBEDDING'],
      [4, 'long', 'INVALID_EMBEDDING'],
      [5, undefined, 'INVALID_ID'],
      [6, undefined, 'INVALID_ID'],
      [7, 'list', 'INVALID_METADATA'],
      [8, 'deep', 'INVALID_METADATA'],
      [9, 'first', 'DUPLICATE_ID'],
    ]);
    expect([...engine.get('first')!.embedding]).toEqual(good);
    expect(engine.stats.count).toBe(2);
  });

  test('leaves what was there before as it was', () => {
    const engine = engineOf({ dimension: 1 });
    engine.apply(frameOf([{ id: 'a', embedding: [1] }]), 1);
    engine.apply(frameOf([{ id: 'a', embedding: [NaN] }]), 2);
    expect(engine.get('a')).toMatchObject({ sequence: 1 });
  });
});

describe('a large space', () => {
  const DIMENSION = 16;
  const vectors = clustered(2_600, DIMENSION, 11);
  const puts = vectors.map((embedding, i) => ({
    id: `v${i}`,
    embedding,
    metadata: { even: i % 2 === 0, rare: i % 500 === 0, n: i },
  }));

  test('is recalled at 0.95 or better through the graph, and whole through a filter', () => {
    for (const metric of ['cosine', 'l2'] as const) {
      const options = { dimension: DIMENSION, metric };
      const exact = engineOf(options, Infinity);
      const engine = engineOf(options);
      for (const each of [exact, engine])
        for (let i = 0; i < puts.length; i += 500)
          each.apply(frameOf(puts.slice(i, i + 500)), i + 1);
      expect(engine.isIndexed).toBe(false);
      while (engine.buildGraph(() => true)) continue;
      expect(engine.isIndexed).toBe(true);
      expect(engine.stats).toMatchObject({ count: 2_600, indexed: 2_600 });
      let found = 0;
      for (const embedding of clustered(60, DIMENSION, 11).slice(30)) {
        const right = new Set(ids(exact.recall({ embedding, k: 10 })));
        found += ids(engine.recall({ embedding, k: 10 })).filter((id) => right.has(id)).length;
      }
      expect(found / 300).toBeGreaterThanOrEqual(0.95);
      for (const [filter, matching] of [
        [compileFilter({ rare: true }), 6],
        [compileFilter({ even: true }), 1_300],
        [compileFilter({ n: { $lt: 3 } }), 3],
        [compileFilter({ absent: 1 }), 0],
      ] as const)
        for (const k of [1, 10, 1_000]) {
          const hits = engine.recall({ embedding: vectors[5]!, k, filter });
          expect(hits).toHaveLength(Math.min(k, matching));
          for (const { metadata } of hits)
            expect(filter(JSON.parse(metadata!) as Record<string, unknown>)).toBe(true);
        }
    }
  });

  test('symptom: a recall among equal embeddings answered with fewer than were asked for', () => {
    const engine = engineOf({ dimension: 4 }, 100);
    const same = Array.from({ length: 3_000 }, (_, i) => ({
      id: `s${i}`,
      embedding: [1, 2, 3, 4],
    }));
    engine.apply(frameOf(same), 1);
    engine.buildGraph(never);
    for (const k of [10, 1_000])
      expect(new Set(ids(engine.recall({ embedding: query(1, 2, 3, 4), k }))).size).toBe(k);
  });

  test('answers with as many as were asked for after most of its graph was deleted', () => {
    const engine = engineOf({ dimension: DIMENSION }, 100);
    engine.apply(frameOf(puts), 1);
    engine.buildGraph(never);
    engine.apply(
      frameOf(
        [],
        puts.slice(0, 1_500).map(({ id }) => id),
      ),
      2,
    );
    for (const k of [10, 1_000]) {
      const hits = ids(engine.recall({ embedding: vectors[0]!, k }));
      expect(hits).toHaveLength(k);
      expect(hits.every((id) => Number(id.slice(1)) >= 1_500)).toBe(true);
    }
  });

  test('sees new rows, changes and deletes at once, before they are in the graph (E2)', () => {
    const engine = engineOf({ dimension: DIMENSION }, 100);
    engine.apply(frameOf(puts.slice(0, 1_000)), 1);
    engine.buildGraph(never);
    const far = new Float32Array(DIMENSION).fill(50);
    engine.apply(frameOf([{ id: 'new', embedding: far }], ['v1']), 2);
    engine.apply(frameOf([{ id: 'v2', embedding: far.map((v) => v + 1) }]), 3);
    expect(engine.isIndexed).toBe(false);
    const nearFar = ids(engine.recall({ embedding: far, k: 2 })).sort();
    expect(nearFar).toEqual(['new', 'v2']);
    const all = ids(engine.recall({ embedding: vectors[1]!, k: 1_000, ef: 2_000 }));
    expect(all).not.toContain('v1');
    expect(all.filter((id) => id === 'v2')).toHaveLength(1);
  });

  test('is compacted once the dead outnumber the living, and forgets none of those', () => {
    const engine = engineOf({ dimension: DIMENSION }, 50, 100);
    engine.apply(frameOf(puts.slice(0, 300)), 1);
    engine.buildGraph(never);
    const before = engine.stats.bytes;
    engine.apply(
      frameOf(
        [],
        puts.slice(0, 200).map(({ id }) => id),
      ),
      2,
    );
    expect(engine.isIndexed).toBe(false);
    expect(engine.stats.bytes).toBeLessThan(before);
    expect(engine.stats).toMatchObject({ count: 100, tombstones: 200 });
    expect(engine.recall({ embedding: vectors[250]!, k: 300 })).toHaveLength(100);
    engine.buildGraph(never);
    expect(engine.stats.indexed).toBe(100);
    expect(engine.get('v250')).toMatchObject({ sequence: 1 });
    expect([...engine.get('v250')!.embedding]).toEqual([...vectors[250]!]);
  });
});
