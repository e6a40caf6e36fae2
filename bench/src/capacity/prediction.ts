// Loads on so many shards, and what the simulation says of the same.

import {
  seededRandom,
  simulate,
  type Arrivals,
  type Coefficients,
  type Simulated,
} from '@engram/capacity';
import { applied, type FreshCluster } from '../fresh-cluster.ts';
import type { WriteTally } from '../write-load.ts';
import { CLOSED, load, poisson, rateOf, SENDERS, type Target } from './load.ts';
import type { CpuUse, Metered } from './meter.ts';

/** Of what the cluster takes at most. */
export const LOADS = [0.3, 0.6, 0.8] as const;
/** At which batches hardly meet: what is not waiting for each other is told from it. */
const LOW = 0.1;
const PARTITIONS = 64;
const BATCHES = 20_000;
const SEED = 3;

interface OpenRun {
  /** Of what the same cluster takes at most. */
  readonly share: number;
  /** Observations a second. */
  readonly perS: number;
  readonly load: Metered<WriteTally>;
}

export interface ShardsRun {
  readonly shards: number;
  readonly dimension: number;
  readonly batch: number;
  readonly spaces: readonly string[];
  readonly workersPerShard: number;
  readonly saturated: Metered<WriteTally>;
  readonly low: OpenRun | undefined;
  readonly loads: readonly OpenRun[];
}

export interface ShardsLoad {
  readonly loads: readonly number[];
  readonly saturatedMs: number;
  readonly openMs: number;
  /** Whether a load is run at which batches hardly meet. */
  readonly withLow: boolean;
}

/** All loads of one cluster, whose spaces are there and warm. */
export async function shardsRun(
  fresh: FreshCluster,
  target: Target,
  { loads: shares, saturatedMs, openMs, withLow }: ShardsLoad,
  signal: AbortSignal,
): Promise<ShardsRun> {
  const shards = fresh.cluster.shards.length;
  const closed = async (): Promise<Metered<WriteTally>> => {
    const measured = await load(fresh, target, CLOSED, saturatedMs, signal);
    await applied(fresh.client, signal);
    return measured;
  };
  const before = await closed();
  const capacity = rateOf(before);
  const open = async (share: number): Promise<OpenRun> => {
    const perS = share * capacity;
    const measured = await load(fresh, target, poisson(perS / target.batch), openMs, signal);
    await applied(fresh.client, signal);
    return { share, perS, load: measured };
  };
  const low = withLow ? await open(LOW) : undefined;
  const loads: OpenRun[] = [];
  for (const share of shares) loads.push(await open(share));
  // The same again: from one minute to the next a machine that others use differs by a tenth.
  const saturated = joined(before, await closed());
  const { batch, dimension, spaces } = target;
  const workersPerShard = Math.max(1, Math.floor(coresOfMachine(saturated) / shards));
  return { shards, dimension, batch, spaces, workersPerShard, saturated, low, loads };
}

/** As the cluster divides them among its shards. */
function coresOfMachine({ cores, cpu, elapsedMs }: Metered<unknown>): number {
  return Math.round(cores + cpu.others / elapsedMs);
}

export function predicted(
  run: ShardsRun,
  coefficients: Coefficients,
  arrivals: Arrivals = { kind: 'closed', senders: SENDERS },
  batches = BATCHES,
): Simulated {
  const { batch, dimension, saturated, shards, spaces, workersPerShard } = run;
  return simulate({
    cluster: {
      batch,
      dimension,
      metadataBytes: 0,
      shards,
      gateways: 1,
      copies: 1,
      logReplicas: 1,
      partitions: PARTITIONS,
      workersPerShard,
      machines: { kind: 'shared', cores: saturated.cores },
      insertions: 0,
      graphRows: 0,
    },
    coefficients,
    arrivals,
    spaces,
    batches,
    random: seededRandom(SEED),
  });
}

/** Both as one. */
export function joined(left: Metered<WriteTally>, right: Metered<WriteTally>): Metered<WriteTally> {
  const elapsedMs = left.elapsedMs + right.elapsedMs;
  const names = Object.keys(left.cpu) as (keyof CpuUse)[];
  const cpu = Object.fromEntries(names.map((name) => [name, left.cpu[name] + right.cpu[name]]));
  const sum = (of: (tally: WriteTally) => number) => of(left.result) + of(right.result);
  return {
    elapsedMs,
    cpu: cpu as Record<keyof CpuUse, number>,
    cores: (left.cores * left.elapsedMs + right.cores * right.elapsedMs) / elapsedMs,
    result: {
      ...left.result,
      sent: sum(({ sent }) => sent),
      accepted: sum(({ accepted }) => accepted),
      acceptedObservations: sum(({ acceptedObservations }) => acceptedObservations),
      refused: added(left.result.refused, right.result.refused),
      causes: added(left.result.causes, right.result.causes),
      notSent: sum(({ notSent }) => notSent),
      elapsedMs: sum((tally) => tally.elapsedMs),
      latenciesMs: [...left.result.latenciesMs, ...right.result.latenciesMs],
    },
  };
}

function added(left: Readonly<Record<string, number>>, right: Readonly<Record<string, number>>) {
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return Object.fromEntries(names.map((name) => [name, (left[name] ?? 0) + (right[name] ?? 0)]));
}
