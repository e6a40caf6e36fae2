// The event loop against what queueing theory says in closed form.

import { expect, test } from 'vitest';
import { Ledger } from '../src/ledger.ts';
import { Network } from '../src/network.ts';
import { seededRandom } from '../src/seeded-random.ts';
import { exponential, serviceTime } from '../src/service-time.ts';

const MEAN_MS = 10;
const VISITS = 300_000;

interface Queue {
  readonly load: number;
  readonly threads: number;
  readonly cores: number;
  readonly variation: number;
}

/** Mean time from arrival to end, with Poisson arrivals. */
function meanMs({ load, threads, cores, variation }: Queue, seed: number): number {
  const network = new Network();
  const random = seededRandom(seed);
  const ledger = new Ledger();
  const pool = network.pool('pool', cores);
  const station = network.station('station', threads, pool);
  const betweenMs = MEAN_MS / (load * Math.min(cores, threads));
  let sent = 0;
  const arrive = (): void => {
    const enteredAtMs = network.nowMs;
    ledger.enter(enteredAtMs);
    network.work(station, serviceTime(MEAN_MS, variation, random), () =>
      ledger.leave(network.nowMs, enteredAtMs),
    );
    if (++sent < VISITS) network.after(exponential(betweenMs, random), arrive);
  };
  network.after(exponential(betweenMs, random), arrive);
  network.run();
  const law = ledger.littlesLaw(network.nowMs);
  expect(law.holds).toBe(true);
  const used = pool.usedCores(network.nowMs) / cores;
  expect(used).toBeCloseTo(threads < cores ? (load * threads) / cores : load, 1);
  return law.meanMs;
}

/** Pollaczek–Khinchine: one server, any service time (Kleinrock 1975, 5.6). */
function oneServer(load: number, variation: number): number {
  return MEAN_MS + (load * MEAN_MS * (1 + variation ** 2)) / (2 * (1 - load));
}

/** Erlang's C formula: whether an arrival waits for one of c servers (Kleinrock 1975, 3.5). */
function manyServers(load: number, servers: number): number {
  const offered = load * servers;
  let [term, sum] = [1, 0];
  for (let k = 0; k < servers; k++) {
    sum += term;
    term *= offered / (k + 1);
  }
  const waits = term / (1 - load) / (sum + term / (1 - load));
  return MEAN_MS + (waits * MEAN_MS) / (servers * (1 - load));
}

test.each([0.3, 0.6, 0.8])('M/M/1 at a load of %d', (load) => {
  const measured = meanMs({ load, threads: 1, cores: 1, variation: 1 }, 1);
  expect(measured / oneServer(load, 1)).toBeCloseTo(1, 1);
  expect(oneServer(load, 1)).toBeCloseTo(MEAN_MS / (1 - load), 9);
});

test.each([0.3, 0.6, 0.8])('M/D/1 at a load of %d', (load) => {
  const measured = meanMs({ load, threads: 1, cores: 1, variation: 0 }, 2);
  expect(Math.abs(measured / oneServer(load, 0) - 1)).toBeLessThan(0.03);
});

test.each([0.5, 2])('M/G/1 with a variation of %d', (variation) => {
  const measured = meanMs({ load: 0.6, threads: 1, cores: 1, variation }, 3);
  expect(Math.abs(measured / oneServer(0.6, variation) - 1)).toBeLessThan(0.06);
});

test.each([2, 4, 8])('M/M/c with %d servers at a load of 0.8', (servers) => {
  const measured = meanMs({ load: 0.8, threads: servers, cores: servers, variation: 1 }, 4);
  expect(Math.abs(measured / manyServers(0.8, servers) - 1)).toBeLessThan(0.04);
});

test('shared by all at once, one core is as fast for fixed times as for any (M/G/1-PS)', () => {
  // Insensitivity (Kleinrock 1976, 4.4): the mean depends on the mean alone.
  for (const variation of [0, 1, 2]) {
    const measured = meanMs({ load: 0.7, threads: 10_000, cores: 1, variation }, 5);
    expect(Math.abs(measured / (MEAN_MS / 0.3) - 1)).toBeLessThan(0.05);
  }
});

test('service times have the mean and the variation that were asked for', () => {
  for (const variation of [0.2, 0.7, 1, 1.8]) {
    const random = seededRandom(6);
    const times = Array.from({ length: 100_000 }, () => serviceTime(MEAN_MS, variation, random));
    const mean = times.reduce((sum, ms) => sum + ms, 0) / times.length;
    const deviation = Math.sqrt(
      times.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / times.length,
    );
    expect(Math.abs(mean / MEAN_MS - 1)).toBeLessThan(0.02);
    expect(Math.abs(deviation / mean / variation - 1)).toBeLessThan(0.03);
  }
  expect(serviceTime(MEAN_MS, 0, () => 0.5)).toBe(MEAN_MS);
});

test('background work goes on where nobody else wants the core, and keeps nobody', () => {
  const network = new Network();
  const station = network.station('worker', 1, network.pool('core', 1));
  network.background(station, 100);
  let doneAtMs = 0;
  network.after(10, () => network.work(station, 5, () => (doneAtMs = network.nowMs)));
  network.run();
  // A slice of 1.5 ms was under way.
  expect(doneAtMs).toBeGreaterThanOrEqual(15);
  expect(doneAtMs).toBeLessThanOrEqual(16.5);
  expect(network.nowMs).toBeCloseTo(105, 6);
});
