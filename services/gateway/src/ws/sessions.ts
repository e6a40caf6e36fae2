import { Repeater, type Clock, type Logger } from '@engram/runtime';
import type { WebSocket } from 'ws';
import { Connection, type Caller } from './connection.ts';
import type { SessionContext } from './session.ts';

export interface SessionsOptions extends SessionContext {
  readonly sessionsMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const CHECK_MS = 1_000;
/** So long what was taken may take to be answered when the gateway stops. */
const DRAIN_MS = 5_000;
/** Clients come back spread over so long. */
const RECONNECT_SPREAD_MS = 1_000;
/** For the other side's half of the closing. */
const CLOSE_MS = 500;

/** The WebSocket connections of a gateway. */
export class Sessions implements AsyncDisposable {
  readonly #options: SessionsOptions;
  readonly #connections = new Set<Connection>();
  readonly #checks: Repeater;
  #onEmpty: (() => void) | undefined;

  constructor(options: SessionsOptions) {
    const { clock, logger, idleMs } = options;
    this.#options = options;
    this.#checks = new Repeater({
      clock,
      intervalMs: Math.min(CHECK_MS, idleMs / 4),
      run: () => {
        const now = clock.now();
        for (const connection of this.#connections) connection.check(now);
        return Promise.resolve();
      },
      onError: (error) => logger.error({ err: error }, 'sessions were not looked at'),
    });
  }

  /** Connections, also those without a session yet. */
  get count(): number {
    return this.#connections.size;
  }

  get isFull(): boolean {
    return this.count >= this.#options.sessionsMax;
  }

  /** How many have a session, and how many of those are paused. */
  counts(): { readonly open: number; readonly paused: number } {
    let [open, paused] = [0, 0];
    for (const connection of this.#connections) {
      if (connection.isOpen) open++;
      if (connection.isPaused) paused++;
    }
    return { open, paused };
  }

  accept(socket: WebSocket, caller: Caller): void {
    this.#connections.add(
      new Connection(socket, caller, this.#options, (closed) => {
        this.#connections.delete(closed);
        if (this.count === 0) this.#onEmpty?.();
      }),
    );
  }

  /** Sends everybody elsewhere; what was taken is answered before, as far as that goes. */
  async drain(): Promise<void> {
    const { random } = this.#options;
    for (const connection of this.#connections)
      connection.drain(Math.round(random() * RECONNECT_SPREAD_MS));
    await this.#empty(DRAIN_MS);
    for (const connection of this.#connections) connection.abort();
    await this.#empty(CLOSE_MS);
    for (const connection of this.#connections) connection.terminate();
    await this.#empty(CLOSE_MS);
  }

  async close(): Promise<void> {
    await this.#checks.close();
    await this.drain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Resolves when no connection is left, or after so long. */
  async #empty(ms: number): Promise<void> {
    if (this.count === 0) return;
    const isEmpty = new AbortController();
    this.#onEmpty = () => isEmpty.abort();
    await this.#options.clock.sleep(ms, isEmpty.signal);
    this.#onEmpty = undefined;
  }
}
