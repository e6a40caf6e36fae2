import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isRunning } from '@engram/runtime/process-identity';
import {
  endLeftovers,
  endProcesses,
  MEMBER_ROLES,
  readClusterState,
  removeClusterState,
  type MemberState,
} from './cluster-state.ts';
import { FileLock } from './file-lock.ts';

export function lockPath(dataDir: string): string {
  return join(dataDir, 'cluster.lock');
}

/** What there was to stop: a cluster, what a killed supervisor had left, or nothing. */
export interface StopOutcome {
  readonly found: 'cluster' | 'leftovers' | 'nothing';
  readonly ended: readonly MemberState[];
}

/** Gateways, shards and servers each have their own deadline within the supervisor's stop. */
const SUPERVISOR_DEADLINE_MS = 90_000;

/**
 * Ends whatever runs on a data folder: through its supervisor when that lives, directly when it
 * does not. Resolves when all of it has ended.
 */
export async function stopCluster(
  folder: string,
  deadlineMs = SUPERVISOR_DEADLINE_MS,
): Promise<StopOutcome> {
  const dataDir = resolve(folder);
  if (!existsSync(dataDir)) return { found: 'nothing', ended: [] };
  const lock = FileLock.tryAcquire(lockPath(dataDir));
  if (!(lock instanceof FileLock)) {
    const members = runningMembers(dataDir);
    await endProcesses([lock], deadlineMs);
    await stopCluster(dataDir, deadlineMs); // a supervisor that had to be killed leaves its children
    return { found: 'cluster', ended: members };
  }
  try {
    const ended = await endLeftovers(dataDir);
    removeClusterState(dataDir);
    return { found: ended.length > 0 ? 'leftovers' : 'nothing', ended };
  } finally {
    lock.release();
  }
}

function runningMembers(dataDir: string): MemberState[] {
  const members = readClusterState(dataDir)?.members ?? [];
  return MEMBER_ROLES.flatMap((role) => members.filter((each) => each.role === role)).filter(
    isRunning,
  );
}
