import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isRunning, signalIdentity, type ProcessIdentity } from '@engram/runtime/process-identity';
import { systemCode } from './setup-error.ts';

export const MEMBER_ROLES = ['gateway', 'shard', 'redis', 'nats'] as const;
export type MemberRole = (typeof MEMBER_ROLES)[number];

/** A started process as others can find it. */
export interface MemberState extends ProcessIdentity {
  readonly id: string;
  readonly role: MemberRole;
  /** Both are absent until it has answered. */
  readonly port?: number;
  readonly url?: string;
}

/** `<dataDir>/cluster.json`: what runs on a data folder, for other processes and for after a crash. */
export interface ClusterState {
  readonly supervisor: ProcessIdentity;
  /** ISO 8601. */
  readonly since: string;
  readonly partitionCount: number;
  readonly members: readonly MemberState[];
}

const POLL_MS = 50;

export function statePath(dataDir: string): string {
  return join(dataDir, 'cluster.json');
}

/** Replaces the file as a whole: a reader or a crash never meets half of it. */
export function writeClusterState(dataDir: string, state: ClusterState): void {
  const path = statePath(dataDir);
  const draft = `${path}.${process.pid}.draft`;
  writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(draft, path);
}

/** Undefined when nothing was started there, or the file is not one of these. */
export function readClusterState(dataDir: string): ClusterState | undefined {
  let text: string;
  try {
    text = readFileSync(statePath(dataDir), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
  return parseClusterState(text);
}

export function parseClusterState(text: string): ClusterState | undefined {
  let value: Partial<ClusterState> | null;
  try {
    value = JSON.parse(text) as Partial<ClusterState> | null;
  } catch {
    return undefined; // not ours: it is always written whole
  }
  const { supervisor, since, partitionCount, members } = value ?? {};
  if (!isIdentity(supervisor) || typeof since !== 'string' || typeof partitionCount !== 'number')
    return undefined;
  if (!Array.isArray(members) || !members.every(isMember)) return undefined;
  return { supervisor, since, partitionCount, members };
}

function isIdentity(value: unknown): value is ProcessIdentity {
  const { pid, startedAt } = (value ?? {}) as Partial<ProcessIdentity>;
  return typeof pid === 'number' && typeof startedAt === 'string';
}

function isMember(value: unknown): value is MemberState {
  const { id, role } = (value ?? {}) as Partial<MemberState>;
  return isIdentity(value) && typeof id === 'string' && MEMBER_ROLES.some((each) => each === role);
}

export function removeClusterState(dataDir: string): void {
  rmSync(statePath(dataDir), { force: true });
}

/**
 * Ends what a killed supervisor left on a data folder, in the order of a clean stop, and answers
 * which members those were. A process that only has the pid of one of them is not touched.
 */
export async function endLeftovers(dataDir: string, deadlineMs = 15_000): Promise<MemberState[]> {
  const state = readClusterState(dataDir);
  const ended: MemberState[] = [];
  for (const role of MEMBER_ROLES) {
    const members = (state?.members ?? []).filter((each) => each.role === role && isRunning(each));
    await endProcesses(members, deadlineMs);
    ended.push(...members);
  }
  return ended;
}

/** SIGTERM to all, SIGKILL to those that still run at the deadline. */
export async function endProcesses(
  processes: readonly ProcessIdentity[],
  deadlineMs: number,
): Promise<void> {
  for (const each of processes)
    if (signalIdentity(each, 'SIGTERM')) signalIdentity(each, 'SIGCONT');
  const end = performance.now() + deadlineMs;
  while (processes.some(isRunning) && performance.now() < end) await pause(POLL_MS);
  for (const each of processes) signalIdentity(each, 'SIGKILL');
  while (processes.some(isRunning)) {
    // Not even SIGKILL ends a process that hangs in the kernel.
    if (performance.now() > end + deadlineMs) throw new Error('a process cannot be ended');
    await pause(POLL_MS);
  }
}
