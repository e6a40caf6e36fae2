import fc from 'fast-check';
import { expect, test } from 'vitest';
import { segmentRows } from '../src/costs.ts';
import type { Demand } from '../src/demand.ts';
import { simulatedOf, throughputMaxOf } from '../src/planned-cluster.ts';
import { plan } from '../src/plan.ts';
import { seededRandom } from '../src/seeded-random.ts';
import { sharesOf, workerOf, spaceNames } from '../src/shares.ts';
import { simulate } from '../src/simulate.ts';
import { DEFAULTS, DEMAND, ROUND } from './fixtures.ts';

const planned = (changes: Partial<Demand> = {}) => plan({ ...DEMAND, ...changes }, ROUND);

test('cores are what an observation costs, times the rate', () => {
  const { coresBusy, cores } = planned({ batch: 10, retentionMs: 1_000 });
  // 1,000 batches a second; so few rows have no graph.
  expect(coresBusy).toMatchObject({
    gateway: 1,
    log: 1,
    apply: 2,
    graph: 0,
    merges: 0,
    rewrites: 0,
  });
  expect(cores).toBeCloseTo(4 / 0.7, 6);
});

test('copies are delivered, applied and built as often; replicas of the log are stored', () => {
  const [one, two] = [planned({ batch: 10 }), planned({ batch: 10, copies: 2, logReplicas: 3 })];
  expect(two.coresBusy.apply).toBeCloseTo(2 * one.coresBusy.apply, 6);
  expect(two.coresBusy.graph).toBeCloseTo(2 * one.coresBusy.graph, 6);
  expect(two.coresBusy.log).toBeCloseTo(3 * 0.5 + 2 * 0.5, 6);
  expect(two.logBytes).toBeCloseTo(3 * one.logBytes, 0);
  expect(two.folderBytes).toBeCloseTo(2 * one.folderBytes, 0);
  expect(two.checkpointBytes).toBe(one.checkpointBytes);
});

test('the fullest shard stays within what may be used, and a shard less would not (any demand)', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 60_000 }),
      fc.constantFrom(8, 100, 768),
      fc.integer({ min: 20, max: 500 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 30, max: 90 }),
      (ratePerS, dimension, spaces, copies, used) => {
        const utilisation = used / 100;
        const demand = { ...DEMAND, ratePerS, dimension, spaces, copies, utilisation };
        const result = plan(demand, ROUND);
        expect(result.shards).toBeGreaterThanOrEqual(copies);
        if (result.isEnough)
          expect(result.capacityPerS * utilisation).toBeGreaterThanOrEqual(ratePerS);
        else expect(result.warnings.length).toBeGreaterThan(0);
        expect(result.capacityPerS).toBeGreaterThan(0);
        expect(Number.isFinite(result.memoryBytes + result.logBytes + result.cores)).toBe(true);
      },
    ),
    { numRuns: 25 },
  );
});

test('more is never planned with less', () => {
  let last = 0;
  for (const ratePerS of [1_000, 10_000, 50_000, 100_000, 200_000]) {
    const { shards } = planned({ ratePerS });
    expect(shards).toBeGreaterThanOrEqual(last);
    last = shards;
  }
});

test('few spaces are spread unevenly, by the ring itself', () => {
  const spread = { shards: 4, copies: 1, partitions: 64, workers: 4 };
  const [few, many] = [
    sharesOf({ ...spread, spaces: 12 }),
    sharesOf({ ...spread, spaces: 20_000 }),
  ];
  expect(few.shard).toBeGreaterThan(many.shard);
  // R2 of the ring: no shard has more than a quarter above the mean of the partitions.
  expect(many.shard).toBeLessThanOrEqual((1.25 / 4) * 1.1);
  expect(sharesOf({ ...spread, spaces: 1 })).toMatchObject({ shard: 1, worker: 1 });
  const workers = spaceNames(5_000).map((space) => workerOf(space, 4));
  expect(new Set(workers)).toEqual(new Set([0, 1, 2, 3]));
});

test('what cannot be is said: one space, too few partitions, no memory', () => {
  const hot = planned({ ratePerS: 500_000, spaces: 1, batch: 10 });
  expect(hot.isEnough).toBe(false);
  expect(hot.warnings[0]).toMatch(/a space lives on one partition.*more spaces do/);
  const narrow = planned({ ratePerS: 400_000, spaces: 5_000, partitions: 4, retentionMs: 1_000 });
  expect(narrow.warnings.join('\n')).toMatch(/ENGRAM_PARTITIONS/);
  const full = planned({ retentionMs: 864e8, spaces: 2, memoryPerShardBytes: 2 ** 30 });
  expect(full.isEnough).toBe(false);
  expect(full.warnings.join('\n')).toMatch(/memory/);
  expect(planned({ utilisation: 0.95 }).warnings.join('\n')).toMatch(/every burst/);
  expect(planned({ ratePerS: 1e6, retentionMs: 864e7 }).warnings.join('\n')).toMatch(
    /is the retention meant/,
  );
  expect(planned().warnings).toEqual([]);
});

test('graphs: none below 4,000 rows of a space, once while it grows, again as it outgrows a class', () => {
  const rows = (each: number) => ({
    retentionMs: (each * DEMAND.spaces * 1_000) / DEMAND.ratePerS,
  });
  const graph = DEMAND.ratePerS * 20e-6; // 10 + 0.1 · 100 µs
  expect(planned(rows(3_900)).coresBusy).toMatchObject({ graph: 0, merges: 0, rewrites: 0 });
  const growing = planned(rows(50_000)).coresBusy;
  expect(growing.graph).toBeCloseTo(graph, 6);
  expect(growing).toMatchObject({ merges: 0, rewrites: 0 });
  const sealed = segmentRows(DEMAND);
  expect(planned(rows(sealed * 5)).coresBusy.merges).toBeCloseTo(graph, 6);
  const large = planned(rows(sealed * 100)).coresBusy;
  expect(large.merges).toBeCloseTo(2 * graph, 6);
  expect(large.rewrites / graph).toBeCloseTo(2.8, 1);
});

test('a plan and a simulation of it agree: it takes what it says, and no more', () => {
  const demand = { ...DEMAND, ratePerS: 60_000, spaces: 400, retentionMs: 60_000, batch: 10 };
  const result = plan(demand, ROUND);
  const cluster = simulatedOf(demand, ROUND, result, result.shards);
  const most = throughputMaxOf(demand, ROUND, result, result.shards);
  expect(most * demand.utilisation).toBeGreaterThanOrEqual(demand.ratePerS);
  const run = (share: number) =>
    simulate({
      cluster,
      coefficients: ROUND,
      arrivals: { kind: 'open', perS: most * share },
      spaces: demand.spaces,
      batches: 15_000,
      random: seededRandom(5),
    });
  const [fits, not] = [run(0.85), run(1.5)];
  expect(fits.throughputPerS / fits.offeredPerS).toBeCloseTo(1, 1);
  expect(not.throughputPerS).toBeLessThan(not.offeredPerS * 0.9);
});

test('the coefficients that it comes with give a plan', () => {
  const result = plan(
    { ...DEMAND, dimension: 768, ratePerS: 20_000, spaces: 1_000, copies: 2 },
    DEFAULTS,
  );
  expect(result.shards).toBeGreaterThan(1);
  expect(result.assumptions[0]).toContain(DEFAULTS.machine.cpu);
});
