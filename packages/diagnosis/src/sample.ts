// What is shown of a cluster at one moment, from two answers of a gateway: rates are differences.

import type { ClusterMember, ClusterStatus } from '@engram/client';
import { LANES, type Lane } from '@engram/model';
import { stateOf } from './pressure.ts';

/** One answer, and when it came. */
export interface Seen {
  readonly status: ClusterStatus;
  /** Monotonic milliseconds. */
  readonly atMs: number;
}

export interface LaneRow {
  readonly lane: Lane;
  /** A level of pressure or `stalled`; absent where nothing is heard of it. */
  readonly state?: string;
  /** Observations that wait, and how long they take to apply. */
  readonly waiting?: number;
  readonly lagMs?: number;
  /** Observations applied a second since the sample before. */
  readonly rate?: number;
}

export interface ShardRow {
  readonly shard: string;
  readonly state: string | undefined;
  readonly partitions: number | undefined;
  readonly ready: number | undefined;
  readonly observations: number | undefined;
  readonly privateBytes: number | undefined;
  readonly memory: string | undefined;
  readonly lanes: readonly LaneRow[];
}

export interface Sample {
  readonly cluster: string;
  readonly time: string | undefined;
  readonly epoch: number;
  readonly degraded: boolean;
  readonly reasons: readonly string[];
  /** Of all shards. */
  readonly rate: number | undefined;
  readonly observations: number;
  readonly logShare: number | undefined;
  readonly shards: readonly ShardRow[];
}

/** @param silent of members that the cluster does not know of, a sentence each */
export function sampleOf(
  before: Seen | undefined,
  { status, atMs }: Seen,
  silent: readonly string[] = [],
): Sample {
  const elapsedMs = before === undefined ? 0 : atMs - before.atMs;
  const known = new Map(before?.status.members.map((member) => [member.id, member]));
  const shards = status.members
    .filter(({ role }) => role === 'shard')
    .toSorted((left, right) => left.id.localeCompare(right.id, 'en', { numeric: true }))
    .map((member) => rowOf(member, known.get(member.id), elapsedMs));
  const rates = shards.flatMap(({ lanes }) => lanes.flatMap(({ rate }) => rate ?? []));
  const { logBytes, logBytesMax } = status.nats ?? {};
  return {
    cluster: status.cluster,
    time: status.time,
    epoch: status.epoch,
    degraded: status.degraded || silent.length > 0,
    reasons: [...(status.reasons ?? []), ...silent],
    rate: rates.length === 0 ? undefined : rates.reduce((sum, rate) => sum + rate, 0),
    observations: shards.reduce((sum, { observations = 0 }) => sum + observations, 0),
    logShare: logBytes === undefined || !logBytesMax ? undefined : logBytes / logBytesMax,
    shards,
  };
}

function rowOf(
  member: ClusterMember,
  before: ClusterMember | undefined,
  elapsedMs: number,
): ShardRow {
  const { id, state, partitions, ready, observations, privateBytes, memory } = member;
  const lanes = LANES.map((lane): LaneRow => {
    const rate = rateOf(before?.applied?.[lane], member.applied?.[lane], elapsedMs);
    const told = member.pressure?.[lane];
    return {
      lane,
      ...(told && { state: stateOf(told), waiting: told.waiting, lagMs: told.lagMs }),
      ...(rate === undefined ? {} : { rate }),
    };
  });
  return { shard: id, state, partitions, ready, observations, privateBytes, memory, lanes };
}

/** Undefined for a shard that was not there, or began anew and counts from nothing. */
function rateOf(
  before: number | undefined,
  now: number | undefined,
  elapsedMs: number,
): number | undefined {
  if (before === undefined || now === undefined || now < before || elapsedMs <= 0) return undefined;
  return Math.round(((now - before) / elapsedMs) * 1_000);
}
