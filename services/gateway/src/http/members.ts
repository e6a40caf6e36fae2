import type { ShardSignal } from '@engram/admission';
import type { StatusReply } from '@engram/codec';
import { request, type LogConnection } from '@engram/log';
import type { ClusterView, Member } from '@engram/membership';
import { perLane, type MemberId } from '@engram/model';

const STATUS_TIMEOUT_MS = 1_000;

export interface ShardStatus extends StatusReply {
  /** How far its clock is ahead of ours, to about the half of what the question took. */
  readonly clockSkewMs: number;
}

/** What the shards say of themselves; those that do not answer are missing. */
export async function shardStatuses(
  connection: LogConnection,
  view: ClusterView,
): Promise<ReadonlyMap<MemberId, ShardStatus>> {
  const statuses = new Map<MemberId, ShardStatus>();
  const shards = [...view.members.values()].filter(({ role }) => role === 'shard');
  await Promise.all(
    shards.map(async ({ id }) => {
      const askedAtMs = Date.now();
      const status = (await request(connection, id, 'status', {}, STATUS_TIMEOUT_MS).catch(
        () => undefined,
      )) as StatusReply | undefined;
      if (status === undefined) return;
      const clockSkewMs = Math.round(status.timeMs - (askedAtMs + Date.now()) / 2);
      statuses.set(id, { ...status, clockSkewMs });
    }),
  );
  return statuses;
}

export function describeMember(
  member: Member,
  partitions: number,
  status: ShardStatus | undefined,
  signal: ShardSignal | undefined,
) {
  const { id, role, state, url, startedAt, replication } = member;
  const common = { id, role, state, url, startedAt, replication };
  if (role === 'gateway') return common;
  const lag = status && Object.values(status.lag).reduce((sum, each) => sum + each, 0);
  return {
    ...common,
    partitions,
    ready: member.ready.size,
    answers: status !== undefined,
    ...(signal === undefined ? {} : { pressure: pressureOf(signal) }),
    ...(status === undefined
      ? {}
      : {
          held: status.held.length,
          lag: lag ?? 0,
          lagByLane: status.lag,
          applied: status.applied,
          ...(status.latency && { latency: status.latency }),
          clockSkewMs: status.clockSkewMs,
          spaces: status.spaces,
          observations: status.observations,
          rssBytes: status.rssBytes,
          privateBytes: status.privateBytes,
          memory: status.memory,
          ...(status.storageFault && { storageFault: status.storageFault }),
        }),
  };
}

function pressureOf({ lanes }: ShardSignal) {
  return perLane((lane) => {
    const { level, cause, waiting, lagMs, drainRate } = lanes[lane];
    return { level, cause, waiting, lagMs, drainRate };
  });
}
