import { setTimeout as pause } from 'node:timers/promises';
import { signalIdentity, type ProcessIdentity } from '@engram/runtime/process-identity';
import type { Exit } from './child.ts';
import { endProcesses, type MemberRole, type MemberState } from './cluster-state.ts';
import type { ServerProcess } from './server-process.ts';
import { messageOf, SetupError } from './setup-error.ts';

// One place in the cluster, held by one process after another.
//
// M1 At most one process holds the place: the next is started after the last has ended.
// M2 A member that is closed starts nothing any more, and what it had started has ended.

export type ClusterEvent = { readonly id: string; readonly role: MemberRole } & (
  | {
      readonly kind: 'started';
      readonly pid: number;
      readonly url: string;
      readonly tookMs: number;
    }
  | { readonly kind: 'exited'; readonly exit: Exit; readonly restartMs: number | undefined }
  | { readonly kind: 'restart-failed'; readonly message: string; readonly restartMs: number }
  | { readonly kind: 'closed' }
);

/** Starts the process; `onSpawn` must be told as soon as it exists. */
export type Launch = (onSpawn: (identity: ProcessIdentity) => void) => Promise<ServerProcess>;

export interface MemberOptions {
  readonly id: string;
  readonly role: MemberRole;
  readonly launch: Launch;
  /** Whether a process that ends unasked is started again. */
  readonly restart: boolean;
  readonly onEvent: (event: ClusterEvent) => void;
  /** Told after each change of `state`. */
  readonly onChange: () => void;
}

const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 10_000;
/** A process that lived this long had started well: the next end counts as the first. */
const STEADY_MS = 30_000;
/** Until it is ready a process has nothing to drain. */
const START_END_MS = 5_000;

export class ClusterMember implements ServerProcess {
  readonly id: string;
  readonly role: MemberRole;
  readonly #options: MemberOptions;
  readonly #closed = new AbortController();
  #process: ServerProcess | undefined;
  /** The live process, ready or not, and the last one, live or not. */
  #spawned: ProcessIdentity | undefined;
  #latest: ProcessIdentity | undefined;
  #starting: Promise<void> | undefined;
  #restarting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failures = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.id = options.id;
    this.role = options.role;
  }

  get pid(): number {
    return this.#held.pid;
  }

  get port(): number {
    return this.#held.port;
  }

  get url(): string {
    return this.#held.url;
  }

  /** The end of the process that holds the place now; a later one has another. */
  get exited(): Promise<Exit> {
    return this.#held.exited;
  }

  get running(): boolean {
    return this.#process !== undefined && this.#spawned !== undefined;
  }

  get #held(): ServerProcess {
    if (this.#process === undefined) throw new Error(`${this.id} has not started`);
    return this.#process;
  }

  /** Of the process that holds the place, or, until the next one exists, of the one that did. */
  get state(): MemberState | undefined {
    if (this.#latest === undefined) return undefined;
    const place = { id: this.id, role: this.role, ...this.#latest };
    return this.#process?.pid === this.#latest.pid
      ? { ...place, port: this.#process.port, url: this.#process.url }
      : place;
  }

  signal(signal: NodeJS.Signals): boolean {
    return this.#process?.signal(signal) ?? false;
  }

  /** Starts the process, or, after it has ended, the next one in its place. */
  start(): Promise<void> {
    if (this.#closing !== undefined)
      return Promise.reject(new SetupError('START_FAILED', `${this.id} is closed`));
    if (this.running) return Promise.resolve();
    this.#starting ??= this.#start().finally(() => (this.#starting = undefined));
    return this.#starting;
  }

  async #start(): Promise<void> {
    const begun = performance.now();
    let launched: ServerProcess;
    try {
      launched = await this.#options.launch((identity) => {
        this.#spawned = this.#latest = identity;
        this.#options.onChange();
        if (this.#closing !== undefined) signalIdentity(identity, 'SIGTERM'); // M2
      });
    } catch (error) {
      this.#spawned = undefined;
      this.#options.onChange();
      throw error;
    }
    this.#process = launched;
    this.#options.onChange();
    const { pid, url } = launched;
    this.#emit({ kind: 'started', pid, url, tookMs: Math.round(performance.now() - begun) });
    const since = performance.now();
    void launched.exited.then((exit) => this.#ended(exit, performance.now() - since));
  }

  #ended(exit: Exit, livedMs: number): void {
    this.#spawned = undefined;
    this.#options.onChange();
    if (this.#closing !== undefined) return;
    if (livedMs >= STEADY_MS) this.#failures = 0;
    const restartMs = this.#options.restart ? this.#nextDelay() : undefined;
    this.#emit({ kind: 'exited', exit, restartMs });
    if (restartMs !== undefined) this.#restarting = this.#restart(restartMs);
  }

  /** Never rejects: each failure is an event, and the next attempt comes later. */
  async #restart(firstMs: number): Promise<void> {
    let waitMs = firstMs;
    for (;;) {
      const waited = pause(waitMs, true, { signal: this.#closed.signal }).catch(() => false);
      if (!(await waited)) return; // M2
      try {
        return await this.start();
      } catch (error) {
        if (this.#closing !== undefined) return;
        waitMs = this.#nextDelay();
        this.#emit({ kind: 'restart-failed', message: messageOf(error), restartMs: waitMs });
      }
    }
  }

  #nextDelay(): number {
    return Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** this.#failures++);
  }

  /** Ends its process at once, also one that is not ready yet; starts nothing any more. */
  kill(): void {
    this.#closed.abort();
    if (this.#spawned !== undefined) signalIdentity(this.#spawned, 'SIGKILL');
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed.abort();
    const starting = this.#starting?.catch(() => undefined); // start()'s caller has the failure
    if (starting !== undefined) {
      // A start that waits for readiness ends as soon as its process does.
      if (this.#spawned !== undefined) await endProcesses([this.#spawned], START_END_MS);
      await starting;
    }
    await this.#restarting;
    await this.#process?.close();
    this.#emit({ kind: 'closed' });
  }

  #emit(event: EventBody): void {
    this.#options.onEvent({ id: this.id, role: this.role, ...event });
  }
}

type EventBody = ClusterEvent extends infer E
  ? E extends unknown
    ? Omit<E, 'id' | 'role'>
    : never
  : never;
