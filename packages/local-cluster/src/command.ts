import { execFile } from 'node:child_process';

export interface CommandOutcome {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end and never throws for what it does: a program that is missing, fails or
 * overruns its deadline (then it is killed) is an outcome with `ok: false`.
 */
export function runCommand(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly deadlineMs?: number } = {},
): Promise<CommandOutcome> {
  return new Promise((resolve) => {
    execFile(
      // Programs are read by their words, which follow the locale.
      'env',
      ['LC_ALL=C', program, ...args],
      {
        encoding: 'utf8',
        timeout: options.deadlineMs ?? 15_000,
        killSignal: 'SIGKILL',
        maxBuffer: 16 * 1024 * 1024,
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
      (error, stdout, stderr) => resolve({ ok: error === null, stdout, stderr }),
    );
  });
}

/** The absolute path of a program in PATH. */
export async function whichProgram(name: string): Promise<string | undefined> {
  const { ok, stdout } = await runCommand('sh', ['-c', 'command -v -- "$1"', 'sh', name]);
  const path = stdout.trim();
  return ok && path.startsWith('/') ? path : undefined;
}

/** The last line that says something, for a reason in one sentence. */
export function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}
