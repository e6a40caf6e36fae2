// What a batch takes of each process, from loads of several dimensions and sizes on one shard.

import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { Coefficients, StageCost } from '@engram/capacity';
import { connect } from 'nats';
import { applied, type FreshCluster } from '../fresh-cluster.ts';
import type { WriteTally } from '../write-load.ts';
import { fitted } from './fit.ts';
import { CLOSED, load, targetOf, type Target } from './load.ts';
import { metered, type CpuUse, type Metered } from './meter.ts';

export interface StageRun {
  readonly dimension: number;
  readonly batch: number;
  readonly load: Metered<WriteTally>;
  /** That the log grew by; undefined where nobody looked. */
  readonly loggedBytes?: number;
}

export type Idle = Coefficients['cpu']['idle'];

export interface StageTimes {
  readonly idleMs: number;
  readonly warmUpMs: number;
  readonly loadMs: number;
}

const US = 1_000;

/** Of one core. */
export async function idleOf(
  { cluster }: FreshCluster,
  { idleMs }: StageTimes,
  signal: AbortSignal,
): Promise<Idle> {
  // What was just started still compiles what it runs.
  await pause(idleMs, undefined, { signal });
  const { cpu, elapsedMs } = await metered(cluster, () => pause(idleMs, undefined, { signal }));
  const { gateways, shards } = cluster;
  const workers = Math.max(1, Math.floor(cpus().length / shards.length)) * shards.length;
  return {
    gateway: cpu.gateway / gateways.length / elapsedMs,
    shard: cpu.shardsMain / shards.length / elapsedMs,
    worker: Math.max(0, cpu.shards - cpu.shardsMain) / workers / elapsedMs,
    nats: cpu.nats / elapsedMs,
    redis: cpu.redis / elapsedMs,
  };
}

/** Makes the spaces, and compiles what a load runs through. */
export async function prepared(
  fresh: FreshCluster,
  dimension: number,
  batch: number,
  warmUpMs: number,
  signal: AbortSignal,
): Promise<Target> {
  const target = await targetOf(dimension, batch, signal);
  for (const space of target.spaces)
    await fresh.client.createSpace(space, { dimension }, { signal });
  await load(fresh, target, CLOSED, warmUpMs, signal);
  await applied(fresh.client, signal);
  return target;
}

/** One after the other; spaces are deleted again, so that memory does not fill. */
export async function stageRuns(
  fresh: FreshCluster,
  dimensions: readonly number[],
  batches: readonly number[],
  { warmUpMs, loadMs }: StageTimes,
  progress: (text: string) => void,
  signal: AbortSignal,
): Promise<StageRun[]> {
  const runs: StageRun[] = [];
  for (const dimension of dimensions) {
    let last: Target | undefined;
    for (const batch of batches) {
      progress(`batches of ${batch} × ${dimension}`);
      const target: Target =
        last === undefined
          ? // Only the first one finds nothing compiled.
            await prepared(
              fresh,
              dimension,
              batch,
              runs.length === 0 ? warmUpMs : warmUpMs / 2,
              signal,
            )
          : await targetOf(dimension, batch, signal);
      last = target;
      const before = await bytesLogged(fresh);
      const measured = await load(fresh, target, CLOSED, loadMs, signal);
      await applied(fresh.client, signal);
      const loggedBytes = (await bytesLogged(fresh)) - before;
      runs.push({ dimension, batch, load: measured, loggedBytes });
    }
    for (const space of last?.spaces ?? []) await fresh.client.deleteSpace(space, { signal });
  }
  return runs;
}

/** In the streams of observations. */
async function bytesLogged({ natsUrl }: FreshCluster): Promise<number> {
  const nats = await connect({ servers: natsUrl });
  try {
    const jsm = await nats.jetstreamManager();
    let bytes = 0;
    for await (const { config, state } of jsm.streams.list())
      if (config.name.startsWith('OBS-')) bytes += state.bytes;
    return bytes;
  } finally {
    await nats.close();
  }
}

/** Of the one shard whose workers are as many as there are cores. */
export function idleOfShard({ shard, worker }: Idle): number {
  return shard + cpus().length * worker;
}

/** Microseconds of one accepted batch, without what the process takes anyway. */
export function batchUs(
  { cpu, elapsedMs, result }: Metered<WriteTally>,
  of: (cpu: CpuUse) => number,
  idleShare: number,
): number {
  return (Math.max(0, of(cpu) - idleShare * elapsedMs) * US) / Math.max(1, result.accepted);
}

type Stages = Pick<
  Coefficients['cpu'],
  'client' | 'gateway' | 'store' | 'deliver' | 'apply' | 'gatewayMainShare' | 'applyMainShare'
>;

/** @param deliverShare of what nats-server does for a batch that one shard reads */
export function stagesOf(
  runs: readonly StageRun[],
  idle: Idle,
  deliverShare: number,
): { readonly cpu: Stages; readonly log: Coefficients['log'] } {
  const [fixedBytes, perDimensionBytes] = fitted(
    runs.map(({ dimension, batch, load: { result }, loggedBytes = 0 }) => ({
      factors: [1, dimension],
      value: loggedBytes / (result.accepted * batch),
    })),
  ) as [number, number];
  const stage = (of: (cpu: CpuUse) => number, idleShare: number): StageCost => {
    const [perBatchUs, perObservationUs, perByteUs] = fitted(
      runs.map(({ dimension, batch, load: measured }) => ({
        factors: [1, batch, batch * (fixedBytes + perDimensionBytes * dimension)],
        value: batchUs(measured, of, idleShare),
      })),
    ) as [number, number, number];
    return { perBatchUs, perObservationUs, perByteUs };
  };
  const nats = stage((cpu) => cpu.nats, idle.nats);
  const part = (share: number): StageCost => ({
    perBatchUs: nats.perBatchUs * share,
    perObservationUs: nats.perObservationUs * share,
    perByteUs: nats.perByteUs * share,
  });
  const sum = (of: (cpu: CpuUse) => number) =>
    runs.reduce((total, { load: { cpu } }) => total + of(cpu), 0);
  return {
    cpu: {
      client: stage((cpu) => cpu.client, 0),
      gateway: stage((cpu) => cpu.gateway, idle.gateway),
      store: part(1 - deliverShare),
      deliver: part(deliverShare),
      apply: stage((cpu) => cpu.shards, idleOfShard(idle)),
      gatewayMainShare: sum((cpu) => cpu.gatewayMain) / sum((cpu) => cpu.gateway),
      applyMainShare: sum((cpu) => cpu.shardsMain) / sum((cpu) => cpu.shards),
    },
    log: { fixedBytes, perDimensionBytes },
  };
}
