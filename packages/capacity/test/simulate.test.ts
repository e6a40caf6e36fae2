import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SimulatedCluster } from '../src/cluster-network.ts';
import { Ledger } from '../src/ledger.ts';
import { seededRandom } from '../src/seeded-random.ts';
import { simulate, type Arrivals, type Simulated } from '../src/simulate.ts';
import { CLUSTER, ROUND } from './fixtures.ts';

function simulated(
  arrivals: Arrivals,
  changes: Partial<SimulatedCluster> = {},
  { batches = 2_000, seed = 1, ledger }: { batches?: number; seed?: number; ledger?: Ledger } = {},
): Simulated {
  return simulate({
    cluster: { ...CLUSTER, ...changes },
    coefficients: ROUND,
    arrivals,
    spaces: 50,
    batches,
    random: seededRandom(seed),
    ...(ledger === undefined ? {} : { ledger }),
  });
}

const open = (perS: number) => ({ kind: 'open', perS }) as const;
const shared = (cores: number) => ({ machines: { kind: 'shared', cores } }) as const;

const clusters = fc.record({
  shards: fc.integer({ min: 1, max: 5 }),
  gateways: fc.integer({ min: 1, max: 3 }),
  copies: fc.integer({ min: 1, max: 3 }),
  workersPerShard: fc.integer({ min: 1, max: 4 }),
  insertions: fc.constantFrom(0, 1, 3),
});

test('no more comes out than goes in, all of it does, and Little is right (any cluster)', () => {
  fc.assert(
    fc.property(
      clusters,
      fc.integer({ min: 100, max: 20_000 }),
      fc.option(fc.integer({ min: 1, max: 8 })),
      fc.integer(),
      (cluster, perS, cores, seed) => {
        const ledger = new Ledger();
        const changes = { ...cluster, ...(cores === null ? {} : shared(cores)) };
        const result = simulated(open(perS), changes, { batches: 400, seed, ledger });
        expect(ledger.went).toBe(400);
        expect(result.littlesLaw.holds).toBe(true);
        // Those that were in the queue when the count began, a tenth at most, come out too.
        expect(result.throughputPerS).toBeLessThanOrEqual(result.offeredPerS * 1.15);
        for (const { utilisation } of result.pools)
          expect(utilisation).toBeLessThanOrEqual(1.000001);
        expect(result.p50Ms).toBeLessThanOrEqual(result.p99Ms);
      },
    ),
    { numRuns: 60 },
  );
});

test('more cores are never slower, but for noise', () => {
  // With fixed service times chance decides arrivals alone, and those are the same for each number of cores.
  const fixed = { ...ROUND, cpu: { ...ROUND.cpu, variation: 0 } };
  fc.assert(
    fc.property(
      clusters,
      fc.integer({ min: 500, max: 9_000 }),
      fc.integer(),
      (cluster, perS, seed) => {
        const mean = (cores: number) =>
          simulate({
            cluster: { ...CLUSTER, ...cluster, ...shared(cores) },
            coefficients: fixed,
            arrivals: open(perS),
            spaces: 50,
            batches: 600,
            random: seededRandom(seed),
          }).meanMs;
        expect(mean(8)).toBeLessThanOrEqual(mean(4) * 1.05);
        expect(mean(4)).toBeLessThanOrEqual(mean(2) * 1.05);
      },
    ),
    { numRuns: 25 },
  );
});

test('the same seed gives the same run', () => {
  expect(simulated(open(3_000))).toEqual(simulated(open(3_000)));
});

test('a closed loop takes what the machine can: cores over what a batch takes', () => {
  // Of 4 ms each, ten observations a batch.
  const result = simulated({ kind: 'closed', senders: 30 }, shared(2));
  expect(result.throughputPerS / ((2 / 0.004) * 10)).toBeCloseTo(1, 1);
  expect(result.littlesLaw.inSystem).toBeCloseTo(30, 0);
});

test('one sender waits for nobody: a batch takes the sum of its stages', () => {
  const { meanMs } = simulated({ kind: 'closed', senders: 1 }, {}, { batches: 20_000 });
  expect(meanMs).toBeGreaterThan(3.9);
  expect(meanMs).toBeLessThan(4.1);
});

test('offered more than it takes, the queue in front of what is scarce grows', () => {
  const result = simulated(open(15_000));
  expect(result.throughputPerS).toBeLessThan(11_000);
  const [longest] = result.stations.toSorted((left, right) => right.waitingMax - left.waitingMax);
  expect(longest!.name).toBe('gateway-1');
  expect(longest!.utilisation).toBeGreaterThan(0.95);
  expect(result.stations.find(({ name }) => name === 'log')!.waitingMax).toBe(0);
});

test('shards with cores of their own take more together, until something else is scarce', () => {
  const costs = { ...ROUND.cpu, apply: { perBatchUs: 20_000, perObservationUs: 0, perByteUs: 0 } };
  const most = (shards: number) =>
    simulate({
      cluster: { ...CLUSTER, shards },
      coefficients: { ...ROUND, cpu: costs },
      arrivals: { kind: 'closed', senders: 60 },
      spaces: 500,
      batches: 2_000,
      random: seededRandom(9),
    }).throughputPerS;
  expect(most(4) / most(1)).toBeGreaterThan(2.5);
});

test('every copy is waited for, and graphs that nobody waits for are left behind', () => {
  expect(simulated(open(2_000), { copies: 2 }).meanMs).toBeGreaterThan(
    simulated(open(2_000)).meanMs * 1.1,
  );
  const graphs = { insertions: 3, graphRows: 50_000, dimension: 768, ...shared(2) };
  const [busy, idle] = [simulated(open(4_000), graphs), simulated(open(500), graphs)];
  expect(busy.graphsLeftS).toBeGreaterThan(1);
  expect(idle.graphsLeftS).toBeLessThan(0.1);
});

/** Every twentieth batch is found a little too early, as with a clock that was read in the wrong place. */
class Hasty extends Ledger {
  #left = 0;
  override leave(nowMs: number, enteredAtMs: number): void {
    super.leave(nowMs, ++this.#left % 20 === 0 ? enteredAtMs + 1 : enteredAtMs);
  }
}

/** One batch is forgotten. */
class Forgetful extends Ledger {
  #left = 0;
  override leave(nowMs: number, enteredAtMs: number): void {
    if (++this.#left !== 100) super.leave(nowMs, enteredAtMs);
  }
}

/** One is booked twice. */
class Double extends Ledger {
  #left = 0;
  override leave(nowMs: number, enteredAtMs: number): void {
    super.leave(nowMs, enteredAtMs);
    if (++this.#left === 100) super.leave(nowMs, enteredAtMs);
  }
}

test.each([Hasty, Forgetful, Double])('Little finds a planted bug: %s', (Wrong) => {
  const { littlesLaw } = simulated(open(2_000), {}, { ledger: new Wrong() });
  expect(littlesLaw.holds).toBe(false);
});
