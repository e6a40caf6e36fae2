import { describe, expect, test } from 'vitest';
import type { Metadata } from '@engram/model';
import { clustered, filterOf } from './frames.ts';
import { apply, graph, ids, recallAt, spaceOf } from './spaces.ts';

const DIMENSION = 16;
const vectors = clustered(2_600, DIMENSION, 11);
const puts = vectors.map((embedding, i) => ({
  id: `v${i}`,
  embedding,
  metadata: { even: i % 2 === 0, rare: i % 500 === 0, n: i },
}));

describe('a large space', () => {
  for (const metric of ['cosine', 'l2', 'ip'] as const)
    test(`is recalled at 0.95 or better through the graph, and whole through a filter (${metric})`, async () => {
      const options = { dimension: DIMENSION, metric };
      const exact = spaceOf(options, { graphThreshold: Infinity });
      const space = spaceOf(options, { graphThreshold: 2_000 });
      for (const each of [exact, space])
        for (let i = 0; i < puts.length; i += 500) apply(each, i + 1, puts.slice(i, i + 500));
      expect(space.upkeep.isIndexed).toBe(false);
      expect(space.engine.backlog).toBe(2_600);
      while (space.upkeep.buildGraph(() => true)) continue;
      expect(space.upkeep.isIndexed).toBe(true);
      expect(space.engine.stats).toMatchObject({ count: 2_600, indexed: 2_600 });
      expect(space.engine.segments.growing.graphedTo).toBe(2_600);
      const queries = clustered(60, DIMENSION, 11).slice(30);
      expect(await recallAt(10, space, exact, queries)).toBeGreaterThanOrEqual(0.95);
      for (const [filter, matching] of [
        [filterOf({ rare: true }), 6],
        [filterOf({ even: true }), 1_300],
        [filterOf({ n: { $lt: 3 } }), 3],
        [filterOf({ absent: 1 }), 0],
      ] as const)
        for (const k of [1, 10, 1_000]) {
          const hits = await space.engine.recall({ embedding: vectors[5]!, k, filter });
          expect(hits).toHaveLength(Math.min(k, matching));
          expect(new Set(ids(hits)).size).toBe(hits.length);
          for (const { metadata } of hits)
            expect(filter.predicate(JSON.parse(metadata!) as Metadata)).toBe(true);
        }
    });

  test('is built in slices no larger than asked for', () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100 });
    apply(space, 1, puts.slice(0, 300));
    let looks = 0;
    expect(space.upkeep.buildGraph(() => ++looks === 3)).toBe(true);
    const { graphedTo } = space.engine.segments.growing;
    expect(graphedTo).toBeGreaterThanOrEqual(3);
    expect(graphedTo).toBeLessThanOrEqual(30);
    expect(space.engine.backlog).toBe(300 - graphedTo);
    expect(space.engine.stats.indexed).toBe(graphedTo);
  });

  test('symptom: a recall among equal embeddings answered with fewer than were asked for', async () => {
    const space = spaceOf({ dimension: 4 }, { graphThreshold: 100 });
    const embedding = Float32Array.of(1, 2, 3, 4);
    const same = Array.from({ length: 3_000 }, (_, i) => ({ id: `s${i}`, embedding }));
    apply(space, 1, same);
    graph(space);
    for (const k of [1, 10, 1_000])
      expect(new Set(ids(await space.engine.recall({ embedding, k }))).size).toBe(k);
  });

  test('answers with as many as were asked for after most of its graph was deleted', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100 });
    apply(space, 1, puts);
    graph(space);
    apply(space, 2, [], ids(puts.slice(0, 1_500)));
    for (const k of [10, 1_000]) {
      const hits = ids(await space.engine.recall({ embedding: vectors[0]!, k }));
      expect(hits).toHaveLength(k);
      expect(hits.every((id) => Number(id.slice(1)) >= 1_500)).toBe(true);
    }
    apply(space, 3, [], ids(puts.slice(1_500, 2_597)));
    const left = await space.engine.recall({ embedding: vectors[0]!, k: 10 });
    expect(ids(left).sort()).toEqual(['v2597', 'v2598', 'v2599']);
  });

  test('sees new rows, changes and deletes at once, before they are in the graph (E2)', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100 });
    apply(space, 1, puts.slice(0, 1_000));
    graph(space);
    const far = new Float32Array(DIMENSION).fill(50);
    apply(space, 2, [{ id: 'new', embedding: far }], ['v1']);
    apply(space, 3, [{ id: 'v2', embedding: far.map((value, i) => value + i) }]);
    expect(space.upkeep.isIndexed).toBe(false);
    expect(ids(await space.engine.recall({ embedding: far, k: 2 }))).toEqual(['new', 'v2']);
    const all = ids(await space.engine.recall({ embedding: vectors[1]!, k: 1_000, ef: 2_000 }));
    expect(all).toHaveLength(1_000);
    expect(all).not.toContain('v1');
    expect(all.filter((id) => id === 'v2')).toHaveLength(1);
  });

  test('scans every row that waits, also the first one after the graph (E2)', async () => {
    const space = spaceOf({ dimension: DIMENSION, metric: 'l2' }, { graphThreshold: 100 });
    apply(space, 1, puts.slice(0, 400));
    let left = 0;
    while (space.upkeep.buildGraph(() => ++left >= 37)) {
      const { graphedTo } = space.engine.segments.growing;
      for (const row of [graphedTo - 1, graphedTo, graphedTo + 1]) {
        if (row >= 400) continue;
        const hits = await space.engine.recall({ embedding: vectors[row]!, k: 1 });
        expect(hits).toMatchObject([{ id: `v${row}`, score: 0 }]);
      }
      left = 0;
    }
  });

  test('is compacted by a tick once the dead outnumber the living, and forgets none of those', async () => {
    const space = spaceOf(
      { dimension: DIMENSION },
      { graphThreshold: Infinity, snapshotKeepMs: 0 },
    );
    const { engine, upkeep } = space;
    apply(space, 1, puts);
    const before = engine.stats.bytes;
    apply(space, 2, [], ids(puts.slice(0, 1_290)));
    upkeep.tick(1, false);
    expect(engine.stats.bytes).toBeGreaterThanOrEqual(before);
    apply(space, 3, [], ids(puts.slice(1_290, 2_400)));
    apply(space, 4, [{ ...puts[2_500]!, timestamp: 4 }]);
    upkeep.tick(2, false);
    expect(engine.stats.bytes).toBeLessThan(before / 2);
    expect(engine.segments.growing.rows).toBe(200);
    expect(engine.stats).toMatchObject({ count: 200, tombstones: 2_400, segments: 1 });
    const hits = ids(await engine.recall({ embedding: vectors[2_450]!, k: 300 }));
    expect(hits.sort()).toEqual(ids(puts.slice(2_400)).sort());
    for (const i of [2_400, 2_499, 2_500, 2_599]) {
      const found = engine.get(`v${i}`)!;
      expect(found).toMatchObject({ sequence: i === 2_500 ? 4 : 1 });
      expect(found.embedding).toEqual(vectors[i]);
      expect(JSON.parse(found.metadata!)).toEqual(puts[i]!.metadata);
    }
    apply(space, 5, [{ id: 'v0', embedding: vectors[0]! }], ['v2599']);
    expect(engine.get('v0')).toMatchObject({ sequence: 5 });
    expect(engine.get('v2599')).toBeUndefined();
  });
});
