import type { ShardSignal } from '@engram/admission';
import type { StatusReply } from '@engram/codec';
import { request, type LogConnection } from '@engram/log';
import type { ClusterView, Member } from '@engram/membership';
import { perLane, type MemberId } from '@engram/model';

const STATUS_TIMEOUT_MS = 1_000;

/** What the shards say of themselves; those that do not answer are missing. */
export async function shardStatuses(
  connection: LogConnection,
  view: ClusterView,
): Promise<ReadonlyMap<MemberId, StatusReply>> {
  const statuses = new Map<MemberId, StatusReply>();
  const shards = [...view.members.values()].filter(({ role }) => role === 'shard');
  await Promise.all(
    shards.map(async ({ id }) => {
      const status = await request(connection, id, 'status', {}, STATUS_TIMEOUT_MS).catch(
        () => undefined,
      );
      if (status !== undefined) statuses.set(id, status as StatusReply);
    }),
  );
  return statuses;
}

export function describeMember(
  member: Member,
  partitions: number,
  status: StatusReply | undefined,
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
          spaces: status.spaces,
          observations: status.observations,
          rssBytes: status.rssBytes,
          privateBytes: status.privateBytes,
          memory: status.memory,
        }),
  };
}

function pressureOf({ lanes }: ShardSignal) {
  return perLane((lane) => {
    const { level, cause, waiting, lagMs, drainRate } = lanes[lane];
    return { level, cause, waiting, lagMs, drainRate };
  });
}
