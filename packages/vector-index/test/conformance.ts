// What every engine behind the port must do, whatever its algorithm.

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, type Metric, METRICS, type Quantization } from '@engram/model';
import { afterAll, describe, expect, test } from 'vitest';
import type { GraphEngine, GraphIndex, GraphOptions } from '../src/graph.ts';
import { encodingOf, type Encoding } from '../src/encoding.ts';
import { norm, rank } from '../src/score.ts';
import { TopK } from '../src/top-k.ts';

const DIMENSION = 16;

/** Numbers of 0 to 1 that a seed determines (a linear congruential generator). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
}

/** Clustered rows, one after another. */
function clusteredRows(count: number, seed: number, dimension = DIMENSION): Float32Array {
  const random = randomOf(seed);
  const noise = () => random() + random() + random() - 1.5;
  const centres = Float32Array.from({ length: 20 * dimension }, () => 2 * noise());
  const rows = new Float32Array(count * dimension);
  for (let i = 0; i < count; i++) {
    const centre = Math.floor(random() * 20) * dimension;
    for (let j = 0; j < dimension; j++)
      rows[i * dimension + j] = centres[centre + j]! + 0.6 * noise();
  }
  return rows;
}

const rowOf = (rows: Float32Array, i: number) => rows.subarray(i * DIMENSION, (i + 1) * DIMENSION);

/** The ten best of some rows by their exact rank. */
function best(
  rows: Float32Array,
  query: Float32Array,
  metric: Metric,
  candidates: Iterable<number>,
): number[] {
  const top = new TopK(10);
  const length = norm(query, 0, DIMENSION);
  for (const row of candidates)
    top.offer(row, rank(metric, rows, row * DIMENSION, query, length, DIMENSION));
  return top.drain().map(({ row }) => row);
}

/** Of 40 queries: how many of the ten nearest are among 128 candidates. */
function recallAt10(graph: GraphIndex, rows: Float32Array, queries: Float32Array, metric: Metric) {
  let found = 0;
  for (let i = 0; i < 40; i++) {
    const query = rowOf(queries, i);
    const right = best(rows, query, metric, Array(graph.size).keys());
    const candidates = graph.search(query, 128);
    expect(candidates.length).toBe(128);
    expect(new Set(candidates).size).toBe(128);
    found += best(rows, query, metric, candidates).filter((row) => right.includes(row)).length;
  }
  return found / 400;
}

/** Describes the ports `GraphEngine` and `GraphIndex` by one engine with one of its quantisations. */
export function describeGraphConformance(
  engine: Engine,
  quantization: Quantization,
  graphs: GraphEngine,
): void {
  const folder = mkdtempSync(join(tmpdir(), 'engram-graph-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'graph');
  const optionsOf = (metric: Metric): GraphOptions => ({
    dimension: DIMENSION,
    metric,
    engine,
    quantization,
    m: 16,
    efConstruction: 64,
  });
  const plain: Encoding = { quantization, scale: 1, centre: undefined };
  const built = (metric: Metric, rows: Float32Array, count: number, capacity = count) => {
    const encoding = encodingOf(rows, count, optionsOf(metric));
    const graph = graphs.create(optionsOf(metric), encoding, capacity);
    for (let from = 0; from < count; from += 300)
      graph.add(from, rows.subarray(from * DIMENSION), Math.min(300, count - from));
    return { graph, encoding };
  };

  describe(`the engine ${engine} with ${quantization}`, () => {
    for (const metric of METRICS) {
      test(`proposes the ten nearest at 0.95 or better, also when it grew and was opened (${metric})`, () => {
        const rows = clusteredRows(2_040, 7);
        const queries = rows.subarray(2_000 * DIMENSION);
        const { graph, encoding } = built(metric, rows, 2_000, 16);
        expect(graph).toMatchObject({ size: 2_000, isMapped: false });
        expect(graph.bytes).toBeGreaterThan(2_000 * DIMENSION);
        expect(recallAt10(graph, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        graph.save(path);
        const opened = graphs.open(path, optionsOf(metric), encoding, 2_000);
        expect(opened.size).toBe(2_000);
        for (let i = 0; i < 40; i++)
          expect(opened.search(rowOf(queries, i), 50)).toEqual(graph.search(rowOf(queries, i), 50));
        expect(() => opened.add(2_000, rows, 1)).toThrow(/read only/);
        expect(() => opened.save(path)).toThrow(/read only/);
        opened.close();
        graph.close();
      });

      test(`gives every row once, nearest first, when more are asked for than it has (${metric})`, () => {
        const rows = clusteredRows(30, 3);
        const { graph } = built(metric, rows, 30);
        const query = rowOf(rows, 4);
        const found = graph.search(query, 1_000);
        expect([...found].sort((a, b) => a - b)).toEqual([...Array(30).keys()]);
        // The graph's own distance is not the exact one: int8 steps may swap neighbours.
        const length = norm(query, 0, DIMENSION);
        const ranks = [...found].map((row) =>
          rank(metric, rows, row * DIMENSION, query, length, DIMENSION),
        );
        const spread = Math.max(...ranks) - Math.min(...ranks);
        for (let i = 1; i < 30; i++) expect(ranks[i]! - ranks[i - 1]!).toBeLessThan(0.03 * spread);
      });

      test(`finds rows of any magnitude of their own (${metric})`, () => {
        for (const magnitude of [1e-6, 1, 1e6]) {
          const rows = clusteredRows(540, 11).map((component) => component * magnitude);
          const { graph } = built(metric, rows, 500);
          const queries = rows.subarray(500 * DIMENSION);
          expect(recallAt10(graph, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        }
      });
    }

    test('compares directions only for cosine', () => {
      const rows = clusteredRows(540, 13);
      const random = randomOf(1);
      for (let i = 0; i < 540; i++) {
        const magnitude = 10 ** (12 * random() - 6);
        rowOf(rows, i).forEach((component, j, row) => (row[j] = component * magnitude));
      }
      const { graph } = built('cosine', rows, 500);
      const queries = rows.subarray(500 * DIMENSION);
      expect(recallAt10(graph, rows, queries, 'cosine')).toBeGreaterThanOrEqual(0.95);
    });

    test.each(['cosine', 'l2'] as const)(
      'tells rows apart that have much in common (%s)',
      (metric) => {
        const rows = clusteredRows(2_040, 7).map((value) => value + 20);
        const { graph, encoding } = built(metric, rows, 2_000);
        const queries = rows.subarray(2_000 * DIMENSION);
        expect(recallAt10(graph, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        graph.save(path);
        const opened = graphs.open(path, optionsOf(metric), encoding, 2_000);
        expect(recallAt10(opened, rows, queries, metric)).toBeGreaterThanOrEqual(0.95);
        expect(opened.search(rowOf(queries, 3), 50)).toEqual(graph.search(rowOf(queries, 3), 50));
      },
    );

    test('says how many rows reach beyond its encoding', () => {
      const rows = clusteredRows(600, 7);
      const { graph } = built('l2', rows, 300);
      expect(graph.clippedRows).toBe(0);
      graph.add(300, rows.map((value) => value * 100).subarray(300 * DIMENSION), 300);
      if (quantization === 'i8') expect(graph.clippedRows).toBeGreaterThan(250);
      else expect(graph.clippedRows).toBe(0);
    });

    test('clips outliers, so that they spoil nothing', () => {
      for (const metric of ['l2', 'ip'] as const) {
        const rows = clusteredRows(540, 17);
        const encoding = encodingOf(rows, 500, optionsOf(metric));
        rowOf(rows, 100).fill(3e38);
        rowOf(rows, 200).fill(-3e38);
        const graph = graphs.create(optionsOf(metric), encoding, 500);
        graph.add(0, rows, 500);
        const candidates = graph.search(rowOf(rows, 520), 500);
        expect(new Set(candidates).size).toBeGreaterThanOrEqual(490);
        const expected = best(rows, rowOf(rows, 520), 'l2', Array(500).keys());
        if (metric === 'l2')
          expect(best(rows, rowOf(rows, 520), 'l2', candidates.subarray(0, 100))).toEqual(expected);
      }
    });

    test('answers nothing while it is empty, also from a file', () => {
      const query = rowOf(clusteredRows(1, 1), 0);
      const graph = graphs.create(optionsOf('cosine'), plain, 0);
      expect(graph.size).toBe(0);
      expect(graph.search(query, 10)).toEqual(new Uint32Array(0));
      graph.save(path);
      const opened = graphs.open(path, optionsOf('cosine'), plain, 0);
      expect(opened.size).toBe(0);
      expect(opened.search(query, 10)).toEqual(new Uint32Array(0));
    });

    test('keeps nothing of the array it was given, and reads from its first element', () => {
      const rows = clusteredRows(3, 5);
      const kept = rows.slice();
      const { graph } = built('l2', rows.subarray(DIMENSION), 2);
      rows.fill(0);
      expect([...graph.search(rowOf(kept, 1), 1)]).toEqual([0]);
      expect([...graph.search(rowOf(kept, 2), 1)]).toEqual([1]);
    });

    test('takes rows in ascending order only, and gaps between them', () => {
      const rows = clusteredRows(10, 5);
      const graph = graphs.create(optionsOf('l2'), { ...plain, scale: 100 }, 10);
      graph.add(5, rows, 2);
      expect(() => graph.add(6, rows, 1)).toThrow(/ascending/);
      expect(() => graph.add(7, rows, 11)).toThrow(/fewer vectors/);
      expect(() => graph.search(rows.subarray(1, 3), 1)).toThrow(/dimension/);
      graph.add(4_000_000_000, rows.subarray(2 * DIMENSION), 1);
      expect([...graph.search(rowOf(rows, 2), 1)]).toEqual([4_000_000_000]);
    });

    test('refuses a file that is cut short, foreign or of something else', () => {
      const rows = clusteredRows(300, 5);
      const { graph, encoding } = built('l2', rows, 300);
      graph.save(path);
      const options = optionsOf('l2');
      const refuses = (change: Partial<GraphOptions> = {}, count = 300, from = path) =>
        expect(() =>
          graphs.open(from, { ...options, ...change }, { ...encoding, ...change }, count),
        ).toThrow(expect.objectContaining({ code: 'SEGMENT_DAMAGED' }));
      refuses({ dimension: DIMENSION - 1 });
      refuses({ dimension: 2 * DIMENSION });
      refuses({ m: 8 });
      refuses({}, 299);
      refuses({}, 0);
      refuses({}, 300, join(folder, 'missing'));
      refuses({}, 300, folder);
      if (engine === 'usearch') {
        refuses({ metric: 'ip' });
        for (const other of (['i8', 'bf16', 'f16', 'f32'] as const).filter(
          (each) => each !== quantization,
        ))
          refuses({ quantization: other });
      }
      const whole = readFileSync(path);
      for (let parts = 0; parts < 97; parts++) {
        writeFileSync(path, whole);
        truncateSync(path, Math.floor((parts * whole.length) / 97));
        refuses();
      }
      truncateSync(path, whole.length - 1);
      refuses();
      writeFileSync(
        path,
        whole.map((_, i) => (i * 151) % 251),
      );
      refuses();
      writeFileSync(path, new Uint8Array(whole.length));
      refuses();
    });

    test('lets go of its memory when it is closed', () => {
      const { graph } = built('cosine', clusteredRows(300, 5), 300);
      graph.close();
      expect(graph.size).toBe(0);
    });
  });
}
