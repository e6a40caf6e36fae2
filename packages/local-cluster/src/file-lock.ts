import { randomUUID } from 'node:crypto';
import {
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { isRunning, ownIdentity, type ProcessIdentity } from '@engram/runtime/process-identity';
import { systemCode } from './setup-error.ts';

// A lock between processes of one machine: a file that names its owner.
//
// L1 The file appears with its whole content (it is linked, not written in place).
// L2 A lock whose owner no longer runs is nobody's, and may be broken.
// L3 Only one process breaks a lock at a time, and it looks again first; otherwise two that both saw
//    a dead owner could each remove the other's new lock.

/** Breaking takes microseconds; a breaker that is older was killed in the middle. */
const BREAKER_AGE_MS_MAX = 10_000;
const POLL_MS = 100;

export class FileLock {
  readonly #path: string;
  readonly #content: string;

  private constructor(path: string, content: string) {
    this.#path = path;
    this.#content = content;
  }

  /** Takes the lock, or answers at once who has it. */
  static tryAcquire(path: string): FileLock | ProcessIdentity {
    const content = JSON.stringify({ ...ownIdentity(), nonce: randomUUID() });
    for (;;) {
      if (create(path, content)) return new FileLock(path, content);
      const owner = ownerOf(path);
      if (owner !== undefined && isRunning(owner)) return owner;
      if (!breakStale(path)) return owner ?? { pid: 0, startedAt: 'unknown' };
    }
  }

  /** Waits for the lock; undefined when the deadline came first. */
  static async acquire(path: string, deadlineMs: number): Promise<FileLock | undefined> {
    const end = performance.now() + deadlineMs;
    for (;;) {
      const lock = FileLock.tryAcquire(path);
      if (lock instanceof FileLock) return lock;
      if (performance.now() >= end) return undefined;
      await pause(POLL_MS);
    }
  }

  /** Gives the lock back; a lock that was taken over meanwhile is left alone. */
  release(): void {
    if (read(this.#path) === this.#content) rmSync(this.#path, { force: true });
  }
}

function create(path: string, content: string): boolean {
  const draft = `${path}.${process.pid}.${randomUUID()}`;
  writeFileSync(draft, content);
  try {
    linkSync(draft, path); // L1
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** True when the lock may be tried again: it is gone now. */
function breakStale(path: string): boolean {
  const breaker = `${path}.breaking`;
  try {
    mkdirSync(breaker); // L3
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    if (ageMs(breaker) > BREAKER_AGE_MS_MAX) rmSync(breaker, { recursive: true, force: true });
    return false;
  }
  try {
    const owner = ownerOf(path);
    if (owner !== undefined && isRunning(owner)) return false;
    rmSync(path, { force: true }); // L2
    return true;
  } finally {
    rmdirSync(breaker);
  }
}

function ageMs(path: string): number {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return 0; // its maker has just removed it
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function ownerOf(path: string): ProcessIdentity | undefined {
  const text = read(path);
  if (text === undefined) return undefined;
  try {
    const { pid, startedAt } = JSON.parse(text) as Partial<ProcessIdentity>;
    return typeof pid === 'number' && typeof startedAt === 'string'
      ? { pid, startedAt }
      : undefined;
  } catch {
    return undefined; // not written by a lock: nobody owns it
  }
}
