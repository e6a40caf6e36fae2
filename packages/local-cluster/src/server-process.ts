import { setTimeout as pause } from 'node:timers/promises';
import { endedEarly, type Child, type Exit } from './child.ts';
import { LOOPBACK } from './loopback-port.ts';
import { SetupError } from './setup-error.ts';

/** A server on this machine that has answered. */
export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  /** `nats://127.0.0.1:PORT`, `redis://…` or `http://…`. */
  readonly url: string;
  /** Resolves when the process has ended, for whatever reason; never rejects. */
  readonly exited: Promise<Exit>;
  /** False when the process has ended. */
  signal(signal: NodeJS.Signals): boolean;
  /** Ends it: SIGTERM, and SIGKILL at the deadline. Memoised. */
  close(): Promise<void>;
}

const POLL_MS = 25;

export function serverProcess(
  child: Child,
  scheme: string,
  port: number,
  closeDeadlineMs: number,
): ServerProcess {
  return {
    pid: child.pid,
    port,
    url: `${scheme}://${LOOPBACK}:${port}`,
    exited: child.exited,
    signal: (signal) => child.signal(signal),
    close: () => child.close(closeDeadlineMs),
  };
}

/**
 * Waits until the server answers in its protocol. When it ends first, or the deadline passes, it is
 * ended and the error carries the end of its log.
 */
export async function whenAnswering(
  child: Child,
  probe: () => Promise<boolean>,
  deadlineMs: number,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    if (await probe()) return;
    const exit = child.exit;
    if (exit !== undefined) throw endedEarly(child, exit);
    if (performance.now() >= end) {
      await child.close(0);
      throw new SetupError(
        'START_FAILED',
        `${child.name} did not answer within ${deadlineMs} ms:\n${child.tail()}`,
      );
    }
    await pause(POLL_MS);
  }
}
