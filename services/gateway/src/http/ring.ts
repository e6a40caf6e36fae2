// The ring as `GET /v1/ring` shows it: members, owners, and the moves under way.

import type { ReplayState, StatusReply } from '@engram/codec';
import type { ClusterView } from '@engram/membership';
import type { MemberId, PartitionId } from '@engram/model';
import type { Assignment } from '@engram/ring';
import { Type, type Static } from 'typebox';

const nullable = (description: string) => Type.Union([Type.Number(), Type.Null()], { description });

const MemberSchema = Type.Object({
  id: Type.String(),
  role: Type.String(),
  state: Type.String(),
  url: Type.String(),
  replication: Type.Integer({ description: 'Copies of each partition that its settings ask for' }),
  owned: Type.Optional(
    Type.Integer({ description: 'Partitions that the ring gives to the shard' }),
  ),
  ready: Type.Optional(Type.Integer({ description: 'Partitions that it answers for' })),
  held: Type.Optional(
    Type.Integer({ description: 'Partitions that it has; absent while it does not answer' }),
  ),
  lag: Type.Optional(Type.Integer({ description: 'Entries of the log that it has still to read' })),
});

const MoveSchema = Type.Object({
  partition: Type.Integer(),
  from: Type.Union([Type.String(), Type.Null()], {
    description: 'Who gives it up afterwards; null where nobody does: a copy more',
  }),
  to: Type.String(),
  percent: nullable('Of the log that is read; null while not known'),
  leftMs: nullable('Until it is read, by the pace so far; null while not known'),
});

export const RingSchema = Type.Object({
  cluster: Type.String(),
  epoch: Type.Integer(),
  partitionCount: Type.Integer(),
  replication: Type.Integer({
    description: 'Copies of each partition, as far as there are shards',
  }),
  members: Type.Array(MemberSchema),
  partitions: Type.Array(
    Type.Object({
      partition: Type.Integer(),
      owners: Type.Array(Type.String(), { description: 'As the ring has it, preferred one first' }),
      ready: Type.Array(Type.String(), { description: 'Who answers for it now, of all shards' }),
    }),
  ),
  moves: Type.Array(MoveSchema),
});

type RingMember = Static<typeof MemberSchema>;
type RingMove = Static<typeof MoveSchema>;

export function ringOf(
  cluster: string,
  view: ClusterView,
  assignment: Assignment,
  statuses: ReadonlyMap<MemberId, StatusReply>,
): Static<typeof RingSchema> {
  const { epoch, replication } = view;
  const { partitionCount } = assignment;
  const partitions = Array.from({ length: partitionCount }, (_, p) => {
    const partition = p as PartitionId;
    const ready = [...view.members.values()].filter((member) => member.ready.has(partition));
    const owners = [...assignment.owners(partition)];
    return { partition, owners, ready: ready.map(({ id }) => id).sort() };
  });
  const members = [...view.members.values()]
    .sort((left, right) => (left.id < right.id ? -1 : 1))
    .map((member): RingMember => {
      const { id, role, state, url } = member;
      const common = { id, role, state, url, replication: member.replication };
      if (role === 'gateway') return common;
      const status = statuses.get(id);
      const owned = assignment.partitionsOf(id).length;
      const ready = member.ready.size;
      if (status === undefined) return { ...common, owned, ready };
      const lag = Object.values(status.lag).reduce((sum, each) => sum + each, 0);
      return { ...common, owned, ready, held: status.held.length, lag };
    });
  const moves = partitions.flatMap((each) => movesOf(each, statuses));
  return { cluster, epoch, partitionCount, replication, members, partitions, moves };
}

/** A partition moves to each owner that is not ready, from who is ready and owns it no more. */
function movesOf(
  partition: {
    readonly partition: PartitionId;
    readonly owners: readonly MemberId[];
    readonly ready: readonly MemberId[];
  },
  statuses: ReadonlyMap<MemberId, StatusReply>,
): RingMove[] {
  const { owners, ready } = partition;
  const givers = ready.filter((id) => !owners.includes(id));
  return owners
    .filter((id) => !ready.includes(id))
    .map((to, i) => ({
      partition: partition.partition,
      from: givers[i] ?? null,
      to,
      ...progressOf(partition.partition, statuses.get(to)),
    }));
}

function progressOf(
  partition: PartitionId,
  status: StatusReply | undefined,
): Pick<RingMove, 'percent' | 'leftMs'> {
  // Shards of before there was `GET /v1/ring` tell no replays; and a checkpoint is restored before one.
  const { replays = [] } = (status ?? {}) as Partial<StatusReply>;
  const replay = replays.find(({ partitions }) => partitions.includes(partition));
  return replay === undefined ? { percent: null, leftMs: null } : paceOf(replay);
}

function paceOf({ start, at, until, elapsedMs }: ReplayState) {
  const [whole, done] = [until - start, Math.min(at, until) - start];
  if (whole <= 0) return { percent: 100, leftMs: 0 };
  return {
    percent: Math.round((1_000 * done) / whole) / 10,
    leftMs: done <= 0 ? null : Math.round((elapsedMs * (whole - done)) / done),
  };
}
