import { type Metric, METRICS, type Quantization, QUANTIZATIONS } from '@engram/model';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { GRAPH_ENGINES } from '../src/engines.ts';
import type { GraphOptions } from '../src/graph.ts';
import { quantizationScale } from '../src/quantization.ts';
import { encodingOf, type Encoding } from '../src/encoding.ts';
import { quantize, RowEncoder } from '../src/row-encoder.ts';
import { scan } from '../src/scan.ts';
import { dot, norm, publicScore, rank, squaredDistance } from '../src/score.ts';
import { TopK } from '../src/top-k.ts';
import { describeGraphConformance, randomOf } from './conformance.ts';

for (const quantization of QUANTIZATIONS)
  describeGraphConformance('usearch', quantization, GRAPH_ENGINES.usearch);
describeGraphConformance('hnswlib', 'f32', GRAPH_ENGINES.hnswlib);

const PLAIN: Encoding = { quantization: 'f32', scale: 1, centre: undefined };

describe('without a binary for the platform', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('the package loads, and the engine says at its first use what is missing', async () => {
    vi.stubEnv('USEARCH_PREBUILD', '/nowhere');
    vi.resetModules();
    const { GRAPH_ENGINES: fresh } = await import('../src/engines.ts');
    const options = { dimension: 2, metric: 'l2', quantization: 'f32', m: 4, efConstruction: 16 };
    expect(() =>
      fresh.usearch.create({ ...options, engine: 'usearch' } as GraphOptions, PLAIN, 1),
    ).toThrow(/the engine usearch has no binary/);
  });
});

const component = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e3, max: 1e3 });
const metric = fc.constantFrom(...METRICS);

describe('int8 steps', () => {
  test('are the nearest ones, clipped at 127', () => {
    const factor = fc.double({ min: 1e-3, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(component, { minLength: 1 }), factor, (row, scale) => {
        const source = Float32Array.of(99, ...row);
        const steps = new Int8Array(row.length + 2).fill(5);
        quantize(source, 1, scale, new Float32Array(row.length), steps, 2, row.length);
        row.forEach((value, i) => {
          const exact = Math.max(-127, Math.min(127, value * scale));
          // Half a step, and what is lost when 127.5 is added.
          expect(Math.abs(steps[i + 2]! - exact)).toBeLessThanOrEqual(0.5 + 1e-13);
        });
        expect([...steps.subarray(0, 2)]).toEqual([5, 5]);
      }),
    );
    const steps = new Int8Array(7);
    quantize(
      Float32Array.of(-127, -126.5, -0.5, 0, 0.5, 126.5, 1e30),
      0,
      1,
      new Float32Array(7),
      steps,
      0,
      7,
    );
    expect([...steps]).toEqual([-127, -126, 0, 0, 1, 127, 127]);
  });

  test('spend themselves on all but one component in ten thousand', () => {
    const random = randomOf(3);
    const rows = Float32Array.from({ length: 100_000 }, () => random() * 2 - 1);
    rows[17] = 1e9;
    expect(quantizationScale(rows, 10_000, 10, 'l2')).toBeCloseTo(127, 0);
    expect(quantizationScale(rows, 1, 10, 'ip')).toBeCloseTo(
      127 / Math.max(...rows.subarray(0, 10).map(Math.abs)),
      3,
    );
  });

  test('follow the normalised rows for cosine, whatever their length', () => {
    const rows = Float32Array.of(3e-6, 4e-6, 3e6, 4e6);
    expect(quantizationScale(rows, 2, 2, 'cosine')).toBeCloseTo(127 / 0.8, 3);
  });

  test('have a scale also for rows of zeros, nearly zeros and none', () => {
    expect(quantizationScale(new Float32Array(8), 2, 4, 'l2')).toBe(1);
    expect(quantizationScale(new Float32Array(8), 2, 4, 'cosine')).toBe(1);
    expect(quantizationScale(new Float32Array(0), 0, 4, 'l2')).toBe(1);
    const sparse = new Float32Array(100_000);
    sparse[5] = -2;
    expect(quantizationScale(sparse, 100, 1_000, 'l2')).toBe(63.5);
  });
});

test('encoded rows are finite, and of length 1 for cosine', () => {
  const row = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
    minLength: 4,
    maxLength: 4,
  });
  const quantization = fc.constantFrom<Quantization>(...QUANTIZATIONS);
  fc.assert(
    fc.property(row, metric, quantization, (given, of, kind) => {
      const vector = Float32Array.from(given);
      const encoded = new RowEncoder(
        4,
        of,
        { quantization: kind, scale: 127, centre: undefined },
        1,
      ).encode(vector, 0, 1);
      const limit = { i8: 127, f16: 65_504, bf16: 1.1e17, f32: 1.1e17 }[kind];
      for (const value of encoded) expect(Math.abs(value)).toBeLessThanOrEqual(limit);
      if (of === 'cosine' && kind !== 'i8' && norm(vector, 0, 4) > 0)
        expect(norm(encoded as Float32Array, 0, 4)).toBeCloseTo(1, 5);
    }),
  );
});

describe('an exact scan', () => {
  const rankOf = (of: Metric, slab: Float32Array, row: number, query: Float32Array) =>
    rank(of, slab, row * query.length, query, norm(query, 0, query.length), query.length);

  test('ranks as brute force does', () => {
    const input = fc.tuple(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 60 }),
      fc.integer({ min: 0, max: 80 }),
      fc.nat(),
      fc.constantFrom(1e-6, 1, 1e6),
    );
    fc.assert(
      fc.property(input, metric, ([dimension, rows, count, seed, magnitude], of) => {
        const random = randomOf(seed);
        const next = () => (random() - 0.5) * magnitude;
        const slab = Float32Array.from({ length: (rows + 1) * dimension }, next);
        // A query inside some other array.
        const asked = Float32Array.from({ length: dimension + 1 }, next).subarray(1);
        const found = scan(slab, rows, asked, count, of);
        expect(found.length).toBe(Math.min(count, rows));
        expect(new Set(found).size).toBe(found.length);
        const ranks = (numbers: Iterable<number>) =>
          [...numbers].map((row) => rankOf(of, slab, row, asked));
        const right = ranks(Array(rows).keys()).sort((a, b) => b - a);
        const spread = Math.max(...right.map(Math.abs), Number.MIN_VALUE);
        ranks(found).forEach((value, i) =>
          expect(Math.abs(value - right[i]!)).toBeLessThanOrEqual(1e-5 * spread),
        );
      }),
    );
  });

  test('reads no slab that the library would read wrongly', () => {
    const query = Float32Array.of(1, 2);
    expect(() => scan(new Float32Array(8).subarray(2), 1, query, 1, 'ip')).toThrow(/byte 0/);
    const shared = new Float32Array(new SharedArrayBuffer(32));
    expect(() => scan(shared, 1, query, 1, 'ip')).toThrow(/shared/);
    expect(() => scan(new Float32Array(8), 5, query, 1, 'ip')).toThrow(/fewer rows/);
  });

  test('takes a query from shared memory', () => {
    const query = new Float32Array(new SharedArrayBuffer(8));
    query.set([0, 1]);
    expect([...scan(Float32Array.of(1, 0, 0, 1), 2, query, 1, 'cosine')]).toEqual([1]);
    expect([...scan(Float32Array.of(1, 0, 0, 1), 2, query, 1, 'ip')]).toEqual([1]);
  });
});

test('a rank is the similarity, and zeros are like nothing', () => {
  const slab = Float32Array.of(9, 3, 4, 0, 0);
  const query = Float32Array.of(8, 6);
  expect(rank('cosine', slab, 1, query, 10, 2)).toBeCloseTo(48 / 50, 12);
  expect(rank('ip', slab, 1, query, 10, 2)).toBe(dot(slab, 1, query, 2));
  expect(rank('l2', slab, 1, query, 10, 2)).toBe(-squaredDistance(slab, 1, query, 2));
  expect(rank('cosine', slab, 3, query, 10, 2)).toBe(0);
});

test('the k best scores are kept, best first', () => {
  const scores = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 60 });
  fc.assert(
    fc.property(scores, fc.integer({ min: 1, max: 12 }), (given, k) => {
      const best = new TopK(k);
      given.forEach((score, row) => best.offer(row, score));
      const drained = best.drain();
      expect(drained.map(({ score }) => score)).toEqual(
        given.toSorted((a, b) => b - a).slice(0, k),
      );
      for (const { row, score } of drained) expect(given[row]).toBe(score);
      expect(new Set(drained.map(({ row }) => row)).size).toBe(drained.length);
    }),
  );
});

test('an l2 score is a distance and never NaN', () => {
  expect([publicScore('l2', -9), publicScore('l2', 1e-9), publicScore('ip', -9)]).toEqual([
    3, 0, -9,
  ]);
});

describe('an encoding', () => {
  const of = (
    rows: readonly number[][],
    metric: 'cosine' | 'l2' | 'ip',
    quantization: 'i8' | 'f32',
  ) =>
    encodingOf(Float32Array.from(rows.flat()), rows.length, {
      dimension: rows[0]!.length,
      metric,
      quantization,
    });
  const near = (x: number) =>
    Array.from({ length: 64 }, (_, i) => [x + (i % 8) - 3.5, x - (i % 5) + 2]);

  test('has a centre where rows lie together far from 0, and the metric allows it', () => {
    expect(of(near(0), 'l2', 'i8').centre).toBeUndefined();
    expect([...of(near(1_000), 'l2', 'i8').centre!]).toEqual([1_000, expect.closeTo(1_000, 0)]);
    expect(of(near(1_000), 'cosine', 'i8').centre).toBeDefined();
    expect(of(near(1_000), 'ip', 'i8').centre).toBeUndefined();
    expect(of(near(1_000), 'l2', 'f32').centre).toBeUndefined();
  });

  test('has two bytes a component where int8 would leave nothing of some rows', () => {
    const mixed = Array.from({ length: 64 }, (_, i) => [
      i % 4 === 0 ? 0.01 : 1,
      0.5 * (1 + (i % 3)),
    ]);
    expect(of(mixed, 'l2', 'i8').quantization).toBe('i8');
    const apart = Array.from({ length: 64 }, (_, i) => (i % 4 === 0 ? [0.01, -0.01] : [1, -1]));
    expect(of(apart, 'l2', 'i8').quantization).toBe('f16');
    expect(of(apart, 'cosine', 'i8').quantization).toBe('i8');
    // Rows of zeros are zeros in any form.
    expect(
      of(
        apart.map(([x, y]) => (x === 1 ? [1, y!] : [0, 0])),
        'ip',
        'i8',
      ).quantization,
    ).toBe('i8');
  });
});
