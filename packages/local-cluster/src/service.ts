import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import type { ProcessIdentity } from '@engram/runtime/process-identity';
import { Child, endedEarly } from './child.ts';
import { portInUse } from './loopback-port.ts';
import { serverProcess, type ServerProcess } from './server-process.ts';
import { SetupError } from './setup-error.ts';

export type ServiceKind = 'gateway' | 'shard';

export interface ServiceOptions {
  readonly kind: ServiceKind;
  /** Its environment; nothing else is inherited. */
  readonly env: Readonly<Record<string, string>>;
  /** In messages; default the kind. */
  readonly name?: string;
  readonly logFile?: string;
  /** Another script than the built service, for tests. */
  readonly entry?: string;
  readonly deadlineMs?: number;
  /** How long it may drain; default 30 s. */
  readonly closeDeadlineMs?: number;
  readonly onSpawn?: (identity: ProcessIdentity) => void;
}

/**
 * For glibc, which reads these when a process begins; no other C library minds them. A shard then gives
 * freed memory back to the system rather than keeping it: threads that seal segments free a lot at once. A
 * gateway does not: with a fresh mapping for each body it spent a fifth of its time on page faults.
 */
export const MALLOC_ENVIRONMENT = {
  gateway: { MALLOC_ARENA_MAX: '2' },
  shard: {
    MALLOC_ARENA_MAX: '2',
    MALLOC_TRIM_THRESHOLD_: '131072',
    MALLOC_MMAP_THRESHOLD_: '131072',
  },
} as const satisfies Record<ServiceKind, Readonly<Record<string, string>>>;
const START_DEADLINE_MS = 60_000;
const CLOSE_DEADLINE_MS = 30_000;

/**
 * Starts a built gateway or shard of this repository and waits until it says that it is ready. The
 * service ends itself when this process dies, because the channel to it closes then.
 * @throws SetupError START_FAILED, or PORT_IN_USE when its port was taken after the last look at it
 */
export async function startService(options: ServiceOptions): Promise<ServerProcess> {
  const entry = options.entry ?? serviceEntry(options.kind);
  if (!existsSync(entry))
    throw new SetupError('START_FAILED', `the ${options.kind} is not built: ${entry} is missing`, {
      hint: 'type: pnpm build',
    });
  const child = await Child.spawn({
    name: options.name ?? options.kind,
    program: process.execPath,
    args: ['--enable-source-maps', entry],
    env: { ...MALLOC_ENVIRONMENT[options.kind], ...options.env },
    channel: true,
    ...(options.logFile === undefined ? {} : { logFile: options.logFile }),
    ...(options.onSpawn === undefined ? {} : { onSpawn: options.onSpawn }),
  });
  const url = await whenReady(child, options.deadlineMs ?? START_DEADLINE_MS).catch(
    (error: unknown) => {
      const taken = Number(options.env['ENGRAM_HTTP_PORT'] ?? 0);
      throw taken > 0 && child.tail().includes('EADDRINUSE') ? portInUse(taken) : error;
    },
  );
  const port = Number(url.port);
  return serverProcess(child, 'http', port, options.closeDeadlineMs ?? CLOSE_DEADLINE_MS);
}

async function whenReady(child: Child, deadlineMs: number): Promise<URL> {
  const ready = new Promise<URL>((resolve) => {
    child.onMessage((message) => {
      const url = readyUrl(message);
      if (url !== undefined) resolve(url);
    });
  });
  const timer = new AbortController();
  const late = pause(deadlineMs, undefined, { signal: timer.signal }).catch(() => undefined);
  const first = await Promise.race([ready, child.exited, late]);
  timer.abort();
  if (first instanceof URL) return first;
  if (first !== undefined) throw endedEarly(child, first);
  await child.close(0);
  throw new SetupError(
    'START_FAILED',
    `${child.name} was not ready within ${deadlineMs} ms:\n${child.tail()}`,
  );
}

function readyUrl(message: unknown): URL | undefined {
  if (typeof message !== 'object' || message === null) return undefined;
  const { kind, url } = message as { readonly kind?: unknown; readonly url?: unknown };
  return kind === 'ready' && typeof url === 'string' && URL.canParse(url)
    ? new URL(url)
    : undefined;
}

/** The main script of a service in this repository, seen from this file's built place. */
function serviceEntry(kind: ServiceKind): string {
  return fileURLToPath(new URL(`../../../services/${kind}/dist/main.js`, import.meta.url));
}
