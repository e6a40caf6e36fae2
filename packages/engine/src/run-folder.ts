import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolderOf, sectionsFolderOf } from './worker-settings.ts';

const PREFIX = 'run-';

/** A folder for this process alone; what processes that have ended left behind is removed. */
export function openRunFolder(dataDir: string, onFault: (message: string) => void): string {
  try {
    mkdirSync(dataDir, { recursive: true });
    return openIn(dataDir, onFault);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the data folder ${dataDir} cannot be used: ${reason}`, { cause });
  }
}

function openIn(dataDir: string, onFault: (message: string) => void): string {
  for (const name of readdirSync(dataDir)) {
    if (!name.startsWith(PREFIX)) continue;
    const pid = Number(name.slice(PREFIX.length));
    // In a container every process of this kind has one number: then the folder is our own.
    if (pid !== process.pid && isRunning(pid)) continue;
    try {
      rmSync(join(dataDir, name), { recursive: true, force: true });
    } catch (error) {
      // Only its space is lost; the folder of this process has another name.
      if (pid === process.pid) throw error;
      onFault(
        `${join(dataDir, name)}, of a process that ended, cannot be removed: ${String(error)}`,
      );
    }
  }
  const folder = join(dataDir, `${PREFIX}${process.pid}`);
  mkdirSync(sectionsFolderOf(folder), { recursive: true });
  mkdirSync(cacheFolderOf(dataDir), { recursive: true });
  return folder;
}

/** Not all at once: thousands of spaces have thousands of files, and heartbeats go on meanwhile. */
export function removeRunFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
