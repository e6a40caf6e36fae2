// A server of the installed system, in a folder of its own there, and its end.

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SYSTEM } from './installed.ts';

const TEMPORARY = 'var/tmp/';
const BLOCK_BYTES = 512;
const POLL_MS = 5;
const END_MS_MAX = 10_000;

/** A folder of the system, as seen from here (`path`) and by the servers in it (`inside`). */
export interface SystemFolder extends AsyncDisposable {
  readonly path: string;
  readonly inside: string;
}

/** @param user whose it is, by the system's own list */
export async function systemFolder(user: string): Promise<SystemFolder> {
  const path = await mkdtemp(join(SYSTEM, TEMPORARY, 'engram-bench-'));
  const [, , uid, gid] = new RegExp(`^${user}:.*$`, 'm')
    .exec(readFileSync(join(SYSTEM, 'etc/passwd'), 'utf8'))![0]
    .split(':');
  await chown(path, Number(uid), Number(gid));
  return {
    path,
    inside: `/${path.slice(SYSTEM.length)}`,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

export interface Command {
  readonly user: string;
  /** Its program by its path in the system, and arguments. */
  readonly words: readonly string[];
  readonly logFile: string;
}

/** Runs a program to its end. */
export async function runInSystem(command: Command): Promise<void> {
  const child = spawnInSystem(command);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0)
    throw new Error(`${command.words[0]} failed:\n${readFileSync(command.logFile, 'utf8')}`);
}

/** One process with what it starts. Its own group, so that Ctrl-C reaches only who ends it in order. */
export class SystemServer {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  #failure: Error | undefined;

  constructor(command: Command) {
    this.#child = spawnInSystem(command);
    this.#logFile = command.logFile;
    this.#child.once('error', (error) => (this.#failure = error));
  }

  /** It and its children. */
  pids(): readonly number[] {
    const { pid } = this.#child;
    if (pid === undefined || this.hasEnded) return [];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return [pid, ...children.split(' ').filter(Boolean).map(Number)];
  }

  get hasEnded(): boolean {
    const { pid, exitCode, signalCode } = this.#child;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  /** Until it answers in its protocol. @throws Error with its log, when it ends before */
  async answering(probe: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    while (!(await probe())) {
      if (this.hasEnded)
        throw new Error(`the server has ended:\n${readFileSync(this.#logFile, 'utf8')}`, {
          cause: this.#failure,
        });
      await pause(POLL_MS, undefined, { signal });
    }
  }

  /** SIGKILL, to its children too; none is left when it resolves. */
  async kill(): Promise<void> {
    const pids = this.pids();
    for (const pid of pids) signalled(pid, 'SIGKILL');
    const end = performance.now() + END_MS_MAX;
    while (!this.hasEnded || pids.some((pid) => signalled(pid, 0))) {
      if (performance.now() > end) throw new Error(`processes ${pids.join(', ')} have not ended`);
      await pause(POLL_MS);
    }
  }
}

function spawnInSystem({ user, words, logFile }: Command): ChildProcess {
  const log = openSync(logFile, 'a');
  const child = spawn('chroot', [`--userspec=${user}`, SYSTEM, ...words], {
    detached: true,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', HOME: '/tmp' },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  return child;
}

/** False when there is no such process. */
function signalled(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** What a folder takes on the disk, files with several names once; what goes away meanwhile counts nothing. */
export async function diskBytesOf(folder: string): Promise<number> {
  const bytes = new Map<number, number>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    await stat(path).then(
      ({ ino, blocks }) => bytes.set(ino, blocks * BLOCK_BYTES),
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      },
    );
  }
  return [...bytes.values()].reduce((sum, each) => sum + each, 0);
}
