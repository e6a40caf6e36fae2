import { once, setMaxListeners } from 'node:events';
import type { Logger } from './logger.ts';

/** What the process tells the one that started it, over the IPC channel of a fork. */
export interface ReadyMessage {
  readonly kind: 'ready';
  readonly url: string;
}

interface ServiceRun {
  readonly logger: Logger;
  /** How long a stop may take before the process ends with code 1. */
  readonly drainTimeoutMs: number;
  /** Starts everything, calls `ready`, waits for `stop` and ends everything. */
  readonly run: (stop: AbortSignal, ready: (url: string) => void) => Promise<void>;
}

/**
 * The life of a service process: SIGTERM, SIGINT or the death of its starter asks it to stop; the
 * exit code tells a clean stop (0) from a failed or overdue one (1).
 */
export async function runService({ logger, drainTimeoutMs, run }: ServiceRun): Promise<void> {
  const stop = new AbortController();
  // Whatever waits in the process listens for it: thousands of entries, while a lane is full.
  setMaxListeners(0, stop.signal);
  const ask = (reason: string) => {
    if (stop.signal.aborted) return;
    logger.info({ reason }, 'draining');
    setTimeout(() => {
      logger.fatal({ drainTimeoutMs }, 'the drain took too long');
      process.exit(1);
    }, drainTimeoutMs).unref();
    stop.abort();
  };
  process.once('SIGTERM', () => ask('SIGTERM'));
  process.once('SIGINT', () => ask('SIGINT'));
  process.once('disconnect', () => ask('the starting process went away'));
  // A rejection that nobody handles is a broken invariant: better one restart than a half-dead member.
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection');
    process.exit(1);
  });
  const startedAt = performance.now();
  try {
    await run(stop.signal, (url) => {
      logger.info({ url, tookMs: Math.round(performance.now() - startedAt) }, 'ready');
      const message: ReadyMessage = { kind: 'ready', url };
      process.send?.(message);
    });
    logger.info('stopped');
    process.exit(0);
  } catch (error) {
    // It was asked to stop while it waited for its servers: there was nothing to drain yet.
    if (stop.signal.aborted && error === stop.signal.reason) {
      logger.info('stopped before it was ready');
      process.exit(0);
    }
    logger.fatal({ err: error }, 'failed');
    process.exit(1);
  }
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

/** The settings, or one message on standard error and exit code 2. */
export function loadOrExit<T>(role: string, load: () => T): T {
  try {
    return load();
  } catch (error) {
    process.stderr.write(`engram ${role}: ${(error as Error).message}\n`);
    process.exit(2);
  }
}
