import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { UpSummary } from './summary.ts';

/** What a supervisor in the background tells the command that started it. */
export type UpMessage =
  | { readonly kind: 'line'; readonly text: string }
  | { readonly kind: 'ready'; readonly summary: UpSummary }
  | { readonly kind: 'failed'; readonly text: string };

/** Tells the starting command, when there is one. */
export function tellStarter(message: UpMessage): void {
  if (process.connected) process.send?.(message);
}

export interface DetachedOptions {
  readonly dataDir: string;
  /** Arguments of `up` for the process in the background. */
  readonly args: readonly string[];
  readonly onLine: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Starts this program again in a session of its own and resolves when its cluster is ready; it then
 * lives on without this process.
 * @throws Error with what it told before it ended
 */
export async function startDetached(options: DetachedOptions): Promise<UpSummary> {
  const child = spawnSelf(options);
  const end = (): void => void child.kill('SIGTERM');
  options.signal.addEventListener('abort', end);
  try {
    return await new Promise<UpSummary>((resolve, reject) => {
      let failure: string | undefined;
      child.on('message', (message: UpMessage) => {
        if (message.kind === 'line') options.onLine(message.text);
        else if (message.kind === 'failed') failure = message.text;
        else resolve(message.summary);
      });
      child.once('error', reject);
      child.once('exit', (code) => {
        const log = join(options.dataDir, 'up.log');
        reject(new Error(failure ?? `it ended with code ${code} before it was ready; see ${log}`));
      });
    });
  } finally {
    options.signal.removeEventListener('abort', end);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function spawnSelf({ dataDir, args }: DetachedOptions): ChildProcess {
  const log = openLog(dataDir);
  try {
    return spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', 'up', ...args], {
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
  } finally {
    closeSync(log);
  }
}

function openLog(dataDir: string): number {
  try {
    mkdirSync(dataDir, { recursive: true });
    return openSync(join(dataDir, 'up.log'), 'a');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the data folder ${dataDir} cannot be written: ${reason}`, { cause });
  }
}
