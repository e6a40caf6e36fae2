// What this machine knows of the members that it runs, beside what the cluster sees of them.

import { isRunning, type ClusterState, type MemberState } from '@engram/local-cluster';
import { runningCluster } from './local-url.ts';

interface Seen {
  readonly id: string;
}

export function localState(member: MemberState): 'running' | 'starting' | 'ended' {
  if (!isRunning(member)) return 'ended';
  return member.url === undefined ? 'starting' : 'running';
}

/** Processes of this machine that run, and are none of the members that the cluster sees. */
export function silentMembers(
  state: ClusterState | undefined,
  members: readonly Seen[] = [],
): readonly MemberState[] {
  const seen = new Set(members.map(({ id }) => id));
  return (state?.members ?? [])
    .filter((member) => member.role === 'shard' || member.role === 'gateway')
    .filter((member) => localState(member) === 'running' && !seen.has(member.id));
}

/** The same for a command that asks the gateway at `url`, or else the cluster of the current folder. */
export function silentHere(
  url: string | undefined,
  members: readonly Seen[],
): readonly MemberState[] {
  return url === undefined ? silentMembers(runningCluster(), members) : [];
}
