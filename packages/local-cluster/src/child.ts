import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, type ProcessIdentity } from '@engram/runtime/process-identity';
import { lastWords } from './last-words.ts';
import { messageOf, SetupError } from './setup-error.ts';

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** Appended to; without it the last output is kept in memory. */
  readonly logFile?: string;
  /** Opens a channel for messages; the child sees its end when this process dies. */
  readonly channel?: boolean;
  /** Told as soon as the process exists, so that a record of it outlives a crash of this one. */
  readonly onSpawn?: (identity: ProcessIdentity) => void;
}

const TAIL_BYTES = 8_192;
const TAIL_LINES = 20;

/** A started process: its end can be awaited, its last words read, and it can always be ended. */
export class Child {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  readonly #tail: () => string;
  #exit: Exit | undefined;
  #closing: Promise<void> | undefined;

  private constructor(name: string, child: ChildProcess, pid: number, tail: () => string) {
    this.name = name;
    this.pid = pid;
    this.#process = child;
    this.#tail = tail;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  /**
   * Starts a process in a session of its own: Ctrl-C in the terminal reaches only the supervisor,
   * which ends its children in order.
   * @throws SetupError START_FAILED when the program cannot be executed
   */
  static async spawn(options: ChildOptions): Promise<Child> {
    const log = openLog(options.logFile);
    const output = log?.descriptor ?? 'pipe';
    const stdio: StdioOptions = [
      'ignore',
      output,
      output,
      ...(options.channel ? ['ipc' as const] : []),
    ];
    const child = spawn(options.program, options.args, { env: options.env, stdio, detached: true });
    const tail = log?.tail ?? keepTail(child);
    const spawned = await new Promise<unknown>((resolve) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', resolve);
    });
    log?.close();
    if (spawned !== undefined || child.pid === undefined)
      throw new SetupError(
        'START_FAILED',
        `${options.name} cannot be started: ${messageOf(spawned)}`,
        { cause: spawned },
      );
    // A message to a child that has just ended is an error event; its end is seen by `exited`.
    child.on('error', () => undefined);
    const identity = identityOf(child.pid);
    if (identity !== undefined) options.onSpawn?.(identity);
    return new Child(options.name, child, child.pid, tail);
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** False when the process has ended. */
  signal(signal: NodeJS.Signals): boolean {
    return this.#exit === undefined && this.#process.kill(signal);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#process.on('message', listener);
  }

  /** The end of its output. */
  tail(): string {
    const lines = this.#tail().trimEnd().split('\n');
    return lines.slice(-TAIL_LINES).join('\n');
  }

  /** SIGTERM, and SIGKILL when it has not ended by the deadline. */
  close(deadlineMs: number): Promise<void> {
    this.#closing ??= this.#end(deadlineMs);
    return this.#closing;
  }

  async #end(deadlineMs: number): Promise<void> {
    // A stopped process would see SIGTERM only once it is continued.
    if (this.signal('SIGTERM')) this.signal('SIGCONT');
    const timer = new AbortController();
    const late = pause(deadlineMs, undefined, { signal: timer.signal }).then(
      () => this.signal('SIGKILL'),
      () => false, // it ended in time
    );
    await this.exited;
    timer.abort();
    await late;
  }
}

/** The failure of a process that ended before it was ready. */
export function endedEarly(child: Child, exit: Exit): SetupError {
  const how = exit.signal === null ? `code ${exit.code}` : `signal ${exit.signal}`;
  const tail = child.tail();
  const words = lastWords(tail);
  if (words !== undefined)
    return new SetupError(
      'START_FAILED',
      `${child.name} ended with ${how} before it was ready: ${words.message}`,
      words.hint === undefined ? {} : { hint: words.hint },
    );
  const output = tail === '' ? ' (it wrote nothing)' : `:\n${tail}`;
  return new SetupError(
    'START_FAILED',
    `${child.name} ended with ${how} before it was ready${output}`,
  );
}

interface Log {
  readonly descriptor: number;
  readonly tail: () => string;
  readonly close: () => void;
}

function openLog(path: string | undefined): Log | undefined {
  if (path === undefined) return undefined;
  mkdirSync(dirname(path), { recursive: true });
  const descriptor = openSync(path, 'a');
  const start = fstatSync(descriptor).size;
  return { descriptor, tail: () => readTail(path, start), close: () => closeSync(descriptor) };
}

/** Only what this process wrote: a log is continued over many runs. */
function readTail(path: string, start: number): string {
  const descriptor = openSync(path, 'r');
  try {
    const from = Math.max(start, fstatSync(descriptor).size - TAIL_BYTES);
    const buffer = Buffer.alloc(TAIL_BYTES);
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, TAIL_BYTES, from));
  } finally {
    closeSync(descriptor);
  }
}

function keepTail(child: ChildProcess): () => string {
  let kept = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      kept = (kept + text).slice(-TAIL_BYTES);
    });
  return () => kept;
}
