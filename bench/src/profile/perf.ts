// Samples of where processes are, by Linux' perf: all threads, JavaScript by the names that Node writes for it
// (--perf-basic-prof), native code and the kernel by their symbols.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A prime, so that nothing periodic is always or never met. */
const SAMPLES_PER_S = 199;
const OUTPUT_BYTES_MAX = 2 ** 30;

/** For the services that are recorded; without it JavaScript has no names. */
export const PERF_ENVIRONMENT = { NODE_OPTIONS: '--perf-basic-prof' } as const;

export interface Frame {
  /** As perf prints it; `[unknown]` where the file has no symbol. */
  readonly symbol: string;
  /** File or mapping that the code is in. */
  readonly binary: string;
  /** Address in it. */
  readonly address: number;
}

export interface Stack {
  readonly pid: number;
  /** Innermost first; never empty. */
  readonly frames: readonly Frame[];
}

/** Undefined where perf cannot be used, with the reason in words. */
export async function perfFault(): Promise<string | undefined> {
  try {
    await promisify(execFile)('perf', ['record', '-o', '/dev/null', '--', 'true']);
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string };
    return code === 'ENOENT'
      ? 'perf is not installed (Debian: apt-get install linux-perf)'
      : `perf may not record here: ${stderr?.trim().split('\n')[0] ?? String(error)}`;
  }
}

/** Records the processes while something runs. */
export async function recorded<T>(
  pids: readonly number[],
  run: () => Promise<T>,
): Promise<{ readonly stacks: readonly Stack[]; readonly result: T }> {
  const folder = await mkdtemp(join(tmpdir(), 'engram-bench-perf-'));
  try {
    const file = join(folder, 'perf.data');
    const args = ['record', '-F', String(SAMPLES_PER_S), '-g', '-o', file, '-p', pids.join(',')];
    const perf = spawn('perf', args, { stdio: 'ignore' });
    const ended = once(perf, 'exit');
    let result: T;
    try {
      result = await run();
    } finally {
      perf.kill('SIGINT');
      await ended;
    }
    const { stdout } = await promisify(execFile)(
      'perf',
      ['script', '-i', file, '-F', 'pid,tid,ip,sym,dso'],
      { maxBuffer: OUTPUT_BYTES_MAX },
    );
    return { stacks: stacksOf(stdout), result };
  } finally {
    await rm(folder, { recursive: true, force: true });
    // Node writes the names there, wherever it is.
    for (const pid of pids) await rm(`/tmp/perf-${pid}.map`, { force: true });
  }
}

/** Runs something where V8 may leave its logs: with names for perf it writes one into the folder of the process. */
export async function inScratchFolder<T>(run: () => Promise<T>): Promise<T> {
  const before = process.cwd();
  const folder = await mkdtemp(join(tmpdir(), 'engram-bench-cwd-'));
  process.chdir(folder);
  try {
    return await run();
  } finally {
    process.chdir(before);
    await rm(folder, { recursive: true, force: true });
  }
}

/** What `perf script -F pid,tid,ip,sym,dso` prints. */
export function stacksOf(text: string): Stack[] {
  return text.split('\n\n').flatMap((block) => {
    const [head = '', ...lines] = block.split('\n').filter((line) => line.trim() !== '');
    const pid = Number(/(\d+)\/\d+/.exec(head)?.[1]);
    const frames = lines.flatMap((line) => {
      const found = /^\s*([0-9a-f]+) (.*) \((.*)\)$/.exec(line);
      if (found === null) return [];
      const [, address, symbol, binary] = found as unknown as [string, string, string, string];
      return [{ symbol, binary, address: parseInt(address, 16) }];
    });
    return Number.isNaN(pid) || frames.length === 0 ? [] : [{ pid, frames }];
  });
}
