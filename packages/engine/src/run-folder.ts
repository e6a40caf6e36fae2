// A folder for one process, in a data folder that it may share with others, also with those of other
// containers, whose process numbers say nothing here. Each listens on a socket beside its folder as long as
// it lives: the kernel knows better than any file whether somebody still does.

import { mkdirSync, readdirSync } from 'node:fs';
import { access, mkdir, open, rm } from 'node:fs/promises';
import { createServer, connect, type Server } from 'node:net';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { platform } from 'node:process';
import { ClusterError } from '@engram/model';
import { Repeater, type Clock } from '@engram/runtime';
import { cacheFolderOf, sectionsFolderOf } from './worker-settings.ts';

const NAME = /^run-([^.]+)(?:\.alive)?$/;
/** Between two looks whether it is still there. */
const LOOK_MS = 1_000;
/** What connecting to a socket fails with when nobody listens on it. */
const DEAD: ReadonlySet<string | undefined> = new Set(['ECONNREFUSED', 'ENOENT', 'ENOTSOCK']);

export class RunFolder {
  readonly path: string;
  readonly #dataDir: string;
  readonly #id: string;
  readonly #alive: Server | undefined;
  #looks: Repeater | undefined;

  private constructor(dataDir: string, id: string, alive: Server | undefined) {
    this.path = join(dataDir, folderOf(id));
    this.#dataDir = dataDir;
    this.#id = id;
    this.#alive = alive;
  }

  /** Removes what processes that have ended left behind, too. */
  static async open(dataDir: string, onFault: (message: string) => void): Promise<RunFolder> {
    try {
      mkdirSync(dataDir, { recursive: true });
      const id = randomBytes(6).toString('hex');
      const alive = await listen(dataDir, socketOf(id)).catch((error: unknown) => {
        // Where there are no sockets nobody can tell who lives.
        onFault(`what ended processes left in ${dataDir} is not removed: ${String(error)}`);
        return undefined;
      });
      if (alive !== undefined) await removeDead(dataDir, id, onFault);
      const folder = new RunFolder(dataDir, id, alive);
      await mkdir(sectionsFolderOf(folder.path), { recursive: true });
      await mkdir(cacheFolderOf(dataDir), { recursive: true });
      return folder;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`the data folder ${dataDir} cannot be used: ${reason}`, { cause });
    }
  }

  /**
   * Tells once when somebody removes the folder, or the cache beside it, under the process: what is written
   * there goes nowhere, and one that begins anew has all of it from the checkpoints.
   */
  watch(clock: Clock, onGone: (error: ClusterError) => void): void {
    const paths = [this.path, cacheFolderOf(this.#dataDir)];
    let isGone = false;
    this.#looks = new Repeater({
      clock,
      intervalMs: LOOK_MS,
      run: async () => {
        if (!isGone) await Promise.all(paths.map((path) => access(path)));
      },
      onError: (error) => {
        // A disk that fails for a moment is another matter.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return;
        isGone = true;
        const message = `the data folder ${this.#dataDir} was removed under the process`;
        onGone(new ClusterError('INTERNAL', message, { cause: error }));
      },
    });
  }

  /** Not all at once: thousands of spaces have thousands of files, and heartbeats go on meanwhile. */
  async remove(): Promise<void> {
    await this.#looks?.close();
    await removeRun(this.#dataDir, this.#id);
    this.#alive?.close();
  }
}

function folderOf(id: string): string {
  return `run-${id}`;
}

function socketOf(id: string): string {
  return `run-${id}.alive`;
}

async function removeRun(dataDir: string, id: string): Promise<void> {
  await rm(join(dataDir, folderOf(id)), { recursive: true, force: true });
  await rm(join(dataDir, socketOf(id)), { force: true });
}

async function removeDead(
  dataDir: string,
  own: string,
  onFault: (message: string) => void,
): Promise<void> {
  const ids = new Set(readdirSync(dataDir).map((name) => NAME.exec(name)?.[1]));
  for (const id of ids) {
    if (id === undefined || id === own || (await isAlive(dataDir, id))) continue;
    await removeRun(dataDir, id).catch((error: unknown) => {
      // Only its space is lost; the folder of this process has another name.
      onFault(`${folderOf(id)}, of a process that ended, cannot be removed: ${String(error)}`);
    });
  }
}

async function isAlive(dataDir: string, id: string): Promise<boolean> {
  return reached(dataDir, socketOf(id), async (path) => {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return true;
    } catch (error) {
      // One that is paused has no room for more callers some day: it lives.
      return !DEAD.has((error as NodeJS.ErrnoException).code);
    } finally {
      socket.destroy();
    }
  });
}

function listen(dataDir: string, name: string): Promise<Server> {
  return reached(dataDir, name, async (path) => {
    const server = createServer((socket) => socket.destroy());
    server.listen(path);
    await once(server, 'listening');
    return server.unref();
  });
}

/** The path of a socket has some hundred characters at most; that of a data folder may have more. */
async function reached<T>(
  folder: string,
  name: string,
  use: (path: string) => Promise<T>,
): Promise<T> {
  if (platform !== 'linux') return use(join(folder, name));
  const handle = await open(folder, 'r');
  try {
    return await use(`/proc/self/fd/${handle.fd}/${name}`);
  } finally {
    await handle.close();
  }
}
