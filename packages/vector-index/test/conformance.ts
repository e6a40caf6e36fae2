// What every engine behind the port must do, whatever its algorithm.

import { METRICS, type Metric, type SpaceOptions } from '@engram/model';
import { describe, expect, test } from 'vitest';
import type { GraphFactory, GraphIndex } from '../src/graph.ts';
import { dot, norm, squaredDistance } from '../src/score.ts';
import { TopK } from '../src/top-k.ts';

const DIMENSION = 16;

function optionsOf(metric: Metric): SpaceOptions {
  return { dimension: DIMENSION, metric, engine: 'hnswlib', m: 16, efConstruction: 128 };
}

/** Clustered rows that a seed determines (a linear congruential generator). */
function rowsOf(count: number, seed: number): Float32Array[] {
  let state = seed;
  const random = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const noise = () => random() + random() + random() - 1.5;
  const row = () => Float32Array.from({ length: DIMENSION }, noise);
  const centres = Array.from({ length: 20 }, row);
  return Array.from({ length: count }, () => {
    const centre = centres[Math.floor(random() * 20)]!;
    return row().map((value, i) => 2 * centre[i]! + 0.6 * value);
  });
}

function exact(rows: readonly (Float32Array | undefined)[], query: Float32Array, metric: Metric) {
  const best = new TopK(10);
  rows.forEach((row, i) => {
    if (row === undefined) return;
    const product = dot(row, 0, query, DIMENSION);
    const score = {
      ip: product,
      l2: -squaredDistance(row, 0, query, DIMENSION),
      cosine: product / norm(row, 0, DIMENSION),
    }[metric];
    best.offer(i, score);
  });
  return new Set(best.drain().map(({ row }) => row));
}

function recallAt10(
  graph: GraphIndex,
  rows: readonly (Float32Array | undefined)[],
  queries: readonly Float32Array[],
  metric: Metric,
): number {
  let found = 0;
  for (const query of queries) {
    const right = exact(rows, query, metric);
    found += graph.search(query, 10, 128).filter((row) => right.has(row)).length;
  }
  return found / (10 * queries.length);
}

/** Describes the port `GraphIndex` by what an engine's factory makes. */
export function describeGraphConformance(name: string, factory: GraphFactory): void {
  describe(`the graph engine ${name}`, () => {
    for (const metric of METRICS)
      test(`finds the ten nearest at 0.95 or better, also after growth and removals (${metric})`, () => {
        const rows: (Float32Array | undefined)[] = rowsOf(1_500, 7);
        const queries = rowsOf(1_540, 7).slice(1_500);
        const graph = factory(optionsOf(metric), 100);
        rows.forEach((row, i) => graph.put(i, row!));
        expect(graph.size).toBe(1_500);
        expect(recallAt10(graph, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        for (let i = 0; i < 1_500; i += 3) {
          graph.remove(i);
          rows[i] = undefined;
        }
        expect(graph.size).toBe(1_000);
        expect(recallAt10(graph, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        for (const query of queries)
          for (const row of graph.search(query, 50, 128)) expect(rows[row]).toBeDefined();
      });

    test('is empty at first and again after its last row was removed', () => {
      const graph = factory(optionsOf('cosine'), 10);
      const [row] = rowsOf(1, 1);
      expect(graph.search(row!, 10, 128)).toEqual([]);
      graph.put(0, row!);
      graph.remove(0);
      graph.remove(0);
      graph.remove(99);
      expect(graph.size).toBe(0);
      expect(graph.search(row!, 10, 128)).toEqual([]);
    });

    test('gives every row once when more are asked for than it has', () => {
      const graph = factory(optionsOf('l2'), 10);
      const rows = rowsOf(30, 3);
      rows.forEach((row, i) => graph.put(i * 50, row));
      const found = graph.search(rows[0]!, 1_000, 16);
      expect([...found].sort((a, b) => a - b)).toEqual(rows.map((_, i) => i * 50));
    });

    test('keeps nothing of the array it was given', () => {
      const graph = factory(optionsOf('l2'), 10);
      const [row, query] = rowsOf(2, 5);
      const kept = row!.slice();
      graph.put(0, row!);
      graph.put(1, query!);
      row!.set(query!);
      expect(graph.search(kept, 1, 16)).toEqual([0]);
    });
  });
}
