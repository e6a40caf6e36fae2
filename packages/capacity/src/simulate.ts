// Batches through a cluster in virtual time, by what each takes: what a plan cannot tell, which is how long
// they wait for each other. Nothing here has a clock or chance of its own.

import type { Coefficients } from './coefficients.ts';
import { ClusterNetwork, type SimulatedCluster } from './cluster-network.ts';
import { Ledger, type LittlesLaw } from './ledger.ts';
import { Network } from './network.ts';
import { exponential, type Random } from './service-time.ts';
import { spaceNames } from './shares.ts';

export type Arrivals =
  /** Whatever happens to those before: as Poisson's, so many observations a second. */
  | { readonly kind: 'open'; readonly perS: number }
  /** So many senders, each with its next batch as soon as the one before is searchable. */
  | { readonly kind: 'closed'; readonly senders: number };

export interface Simulation {
  readonly cluster: SimulatedCluster;
  readonly coefficients: Coefficients;
  readonly arrivals: Arrivals;
  /** Written in turn by chance, each as often as any other. */
  readonly spaces: readonly string[] | number;
  /** How many are sent; a tenth is not counted, while the queues fill. */
  readonly batches: number;
  readonly random: Random;
  /** Books who comes and goes; another one in tests. */
  readonly ledger?: Ledger;
}

interface StationUse {
  readonly name: string;
  /** Of its threads, those that work or want to. */
  readonly utilisation: number;
  readonly waitingMean: number;
  readonly waitingMax: number;
}

export interface Simulated {
  /** Observations that came a second, and that were searchable, while batches came. */
  readonly offeredPerS: number;
  readonly throughputPerS: number;
  /** Of observe→searchable. */
  readonly meanMs: number;
  readonly deviationMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly stations: readonly StationUse[];
  /** Of cores, on average, until the last batch was searchable. */
  readonly pools: readonly { readonly name: string; readonly utilisation: number }[];
  readonly littlesLaw: LittlesLaw;
  /** Observations applied whose graphs are not built when the last batch is searchable, in seconds of a core. */
  readonly graphsLeftS: number;
}

const UNCOUNTED_SHARE = 0.1;

/** @throws RangeError when Little's law does not hold: then the simulation is wrong, not the cluster slow */
export function simulate(simulation: Simulation): Simulated {
  const { arrivals, batches, cluster, coefficients, random } = simulation;
  const ledger = simulation.ledger ?? new Ledger();
  const network = new Network();
  const nodes = new ClusterNetwork(network, cluster, coefficients, random);
  const names =
    typeof simulation.spaces === 'number' ? spaceNames(simulation.spaces) : simulation.spaces;
  const spaces = names as ReturnType<typeof spaceNames>;
  const first = Math.floor(batches * UNCOUNTED_SHARE);
  const sojournsMs: number[] = [];
  let sent = 0;
  let gone = 0;
  const counted = { fromMs: 0, toMs: 0, gone: 0 };
  const send = (then?: () => void): void => {
    const index = sent++;
    const enteredAtMs = network.nowMs;
    if (index === first) counted.fromMs = enteredAtMs;
    if (index === batches - 1) counted.toMs = enteredAtMs;
    ledger.enter(enteredAtMs);
    const space = spaces[Math.floor(random() * spaces.length)]!;
    nodes.send(space, () => {
      const { nowMs } = network;
      gone++;
      ledger.leave(nowMs, enteredAtMs);
      if (index >= first) sojournsMs.push(nowMs - enteredAtMs);
      if (sent > first && sent < batches) counted.gone++;
      then?.();
    });
  };
  if (arrivals.kind === 'open') {
    const meanMs = (cluster.batch * 1_000) / arrivals.perS;
    const arrive = (): void => {
      send();
      if (sent < batches) network.after(exponential(meanMs, random), arrive);
    };
    network.after(exponential(meanMs, random), arrive);
  } else {
    const next = (): void => {
      if (sent < batches) send(next);
    };
    for (let i = 0; i < arrivals.senders; i++) network.after(0, next);
  }
  network.run(() => gone === batches);
  const { nowMs } = network;
  const littlesLaw = ledger.littlesLaw(nowMs);
  if (simulation.ledger === undefined && !littlesLaw.holds)
    throw new RangeError(`L = λW is off by ${littlesLaw.difference}: the simulation is wrong`);
  const sorted = sojournsMs.toSorted((left, right) => left - right);
  const meanMs = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length;
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
  const perS = (count: number) =>
    (count * cluster.batch * 1_000) / Math.max(counted.toMs - counted.fromMs, Number.MIN_VALUE);
  return {
    offeredPerS: perS(batches - 1 - first),
    throughputPerS: perS(counted.gone),
    meanMs,
    deviationMs: Math.sqrt(sorted.reduce((sum, ms) => sum + (ms - meanMs) ** 2, 0) / sorted.length),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    stations: nodes.stations.map((station) => {
      const { running, waiting } = station.averages(nowMs);
      const { name, threads, waitingMax } = station;
      return { name, utilisation: running / threads, waitingMean: waiting, waitingMax };
    }),
    pools: network.pools.map((pool) => ({
      name: pool.name,
      utilisation: pool.usedCores(nowMs) / pool.cores,
    })),
    littlesLaw,
    graphsLeftS: nodes.graphsLeftMs / 1_000,
  };
}
