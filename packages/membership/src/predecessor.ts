// Whether the process that had a member's place before is dead for sure: then nobody need wait for its
// lease. That can be seen only where pids mean the same, on one boot of a machine and in one container.

import { readlinkSync } from 'node:fs';
import { isRunning, ownIdentity } from '@engram/runtime/process-identity';

/** A process among those that see each other. */
export interface HostProcess {
  /** Opaque; equal for processes whose pids are of one namespace. */
  readonly pids: string;
  readonly pid: number;
  /** Opaque; equal only for the same process, and begins with the boot of its machine. */
  readonly startedAt: string;
}

/** Undefined where Linux does not tell. */
export function ownProcess(): HostProcess | undefined {
  const pids = namespace();
  const { pid, startedAt } = ownIdentity();
  if (pids === undefined || bootOf(startedAt) === undefined) return undefined;
  return { pids, pid, startedAt };
}

/** True only when the process was one of this machine and namespace, and runs no more. */
export function isDead(other: HostProcess): boolean {
  const own = ownProcess();
  if (own === undefined || other.pids !== own.pids) return false;
  if (bootOf(other.startedAt) !== bootOf(own.startedAt)) return false;
  return !isRunning(other) && !isHidden(other.pid);
}

export function decodeHost(value: unknown): HostProcess | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pids, pid, startedAt } = value as Readonly<Record<string, unknown>>;
  if (typeof pids !== 'string' || typeof startedAt !== 'string') return undefined;
  if (!Number.isSafeInteger(pid) || (pid as number) <= 1) return undefined;
  return { pids, pid: pid as number, startedAt };
}

/** Another user's process, which /proc may be set not to show (`hidepid`). */
function isHidden(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function bootOf(startedAt: string): string | undefined {
  const parts = startedAt.split('/');
  return parts.length === 2 ? parts[0] : undefined;
}

function namespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined; // no Linux
  }
}
