// Who used the processor while something ran, by Linux' /proc (proc(5)).

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { LocalCluster } from '@engram/local-cluster';
import { cpuMsOf } from '../process-usage.ts';

/** Processor time in milliseconds. */
export interface CpuUse {
  readonly client: number;
  readonly gateway: number;
  readonly gatewayMain: number;
  readonly nats: number;
  readonly redis: number;
  readonly shards: number;
  readonly shardsMain: number;
  /** Of whatever else runs on the machine, time that its host took included. */
  readonly others: number;
}

export interface Metered<T> {
  readonly result: T;
  readonly elapsedMs: number;
  readonly cpu: CpuUse;
  /** That others left. */
  readonly cores: number;
}

const TICKS_PER_S = 100;
const [UTIME, STIME] = [11, 12];
/** Places of idle and iowait in /proc/stat. */
const IDLE = new Set([3, 4]);
/** Guests' time is in user time already. */
const FIELDS = 8;

/** What was used while `run` ran; the load generator is this process. */
export async function metered<T>(
  cluster: LocalCluster,
  run: () => Promise<T>,
): Promise<Metered<T>> {
  const [before, startedAt] = [snapshot(cluster), performance.now()];
  const result = await run();
  const elapsedMs = performance.now() - startedAt;
  const after = snapshot(cluster);
  const of = (name: keyof typeof after) => after[name] - before[name];
  const ours = of('client') + of('gateway') + of('nats') + of('redis') + of('shards');
  const others = Math.max(0, of('machine') - ours);
  return {
    result,
    elapsedMs,
    cpu: {
      client: of('client'),
      gateway: of('gateway'),
      gatewayMain: of('gatewayMain'),
      nats: of('nats'),
      redis: of('redis'),
      shards: of('shards'),
      shardsMain: of('shardsMain'),
      others,
    },
    cores: cpus().length - others / elapsedMs,
  };
}

function snapshot({ gateways, nats, redis, shards }: LocalCluster) {
  const gatewayPids = gateways.map(({ pid }) => pid);
  const shardPids = shards.map(({ pid }) => pid);
  return {
    client: cpuMsOf([process.pid]),
    gateway: cpuMsOf(gatewayPids),
    gatewayMain: mainThreadsOf(gatewayPids),
    nats: cpuMsOf([nats.pid]),
    redis: cpuMsOf([redis.pid]),
    shards: cpuMsOf(shardPids),
    shardsMain: mainThreadsOf(shardPids),
    machine: machineMs(),
  };
}

function mainThreadsOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    ticks += Number(fields[UTIME]) + Number(fields[STIME]);
  }
  return (ticks * 1_000) / TICKS_PER_S;
}

/** All cores together that were not idle. */
function machineMs(): number {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n');
  const ticks = line
    .trim()
    .split(/\s+/)
    .slice(1, 1 + FIELDS)
    .map(Number);
  const busy = ticks.reduce((sum, each, place) => (IDLE.has(place) ? sum : sum + each), 0);
  return (busy * 1_000) / TICKS_PER_S;
}
