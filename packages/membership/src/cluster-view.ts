// Which view of the cluster a member acts on, decided from what the registry answers. Pure.
//
//   V1. The epoch never falls.
//   V2. A registry that was emptied takes nobody out of the ring until the grace is over: members
//       need time to write themselves in again.
//   V3. Shards that were set differently still agree: what most copies need is what counts, because
//       owners computed from different numbers may leave a partition to nobody.

import type { MemberId } from '@engram/model';
import { decodeMember, type Member } from './member.ts';
import type { RegistryState } from './registry.ts';

export interface ClusterView {
  readonly epoch: number;
  /** Every member, by id. */
  readonly members: ReadonlyMap<MemberId, Member>;
  /** The shards among which the partitions are divided, in ascending order. */
  readonly shards: readonly MemberId[];
  /** Copies of each partition: the most that one of the shards is set to (V3). */
  readonly replication: number;
}

export interface ViewState {
  readonly registryId: string | undefined;
  /** Until this local time a missing member may be one that has not come back yet. */
  readonly graceUntilMs: number;
  readonly view: ClusterView;
}

export const EMPTY_VIEW: ViewState = {
  registryId: undefined,
  graceUntilMs: -Infinity,
  view: { epoch: 0, members: new Map(), shards: [], replication: 1 },
};

/** The next state; the same `view` object when nothing in it changed. */
export function nextView(
  state: ViewState,
  answer: Omit<RegistryState, 'standing'>,
  nowMs: number,
  graceMs: number,
): ViewState {
  const wasEmptied = state.registryId !== undefined && answer.registryId !== state.registryId;
  const graceUntilMs = wasEmptied ? nowMs + graceMs : state.graceUntilMs;
  const members = new Map<MemberId, Member>();
  for (const entry of answer.entries) {
    const known = state.view.members.get(entry.id);
    const member = decodeMember(entry);
    if (member !== undefined)
      members.set(entry.id, known && isSame(known, member) ? known : member);
  }
  if (nowMs < graceUntilMs)
    for (const [id, member] of state.view.members) if (!members.has(id)) members.set(id, member); // V2
  const epoch = Math.max(state.view.epoch, answer.epoch); // V1
  const view =
    epoch === state.view.epoch && isSameMap(members, state.view.members)
      ? state.view
      : viewOf(epoch, members);
  return { registryId: answer.registryId, graceUntilMs, view };
}

function viewOf(epoch: number, members: ReadonlyMap<MemberId, Member>): ClusterView {
  const shards = [...members.values()].filter(
    ({ role, state }) => role === 'shard' && state === 'active',
  );
  return {
    epoch,
    members,
    shards: shards.map(({ id }) => id).sort(),
    replication: Math.max(1, ...shards.map(({ replication }) => replication)),
  };
}

/**
 * The members that are set to another number of copies than the view has, by id. Without a shard the view
 * has none that would count.
 */
export function differingMembers({ members, shards, replication }: ClusterView): Member[] {
  if (shards.length === 0) return [];
  return [...members.values()]
    .filter((member) => member.replication !== replication)
    .sort((left, right) => (left.id < right.id ? -1 : 1));
}

function isSame(left: Member, right: Member): boolean {
  return (
    left.incarnation === right.incarnation &&
    left.role === right.role &&
    left.state === right.state &&
    left.url === right.url &&
    left.replication === right.replication &&
    left.ready.size === right.ready.size &&
    [...left.ready].every((partition) => right.ready.has(partition))
  );
}

function isSameMap(
  left: ReadonlyMap<MemberId, Member>,
  right: ReadonlyMap<MemberId, Member>,
): boolean {
  if (left.size !== right.size) return false;
  for (const [id, member] of left) if (right.get(id) !== member) return false;
  return true;
}

/** How many gateways there are. */
export function gatewaysOf({ members }: ClusterView): number {
  return [...members.values()].filter(({ role }) => role === 'gateway').length;
}
