import { ClusterError } from '@engram/model';
import { backoffMs, Deadline, type Clock, type Logger } from '@engram/runtime';
import { LogEnds } from './log-ends.ts';
import { reconnectDelays } from './reconnect-delays.ts';
import { natsAccess, placeOf, type NatsServer } from './nats-access.ts';
import { connect, DebugEvents, Events, NatsError, type NatsConnection } from 'nats';

export interface ConnectionOptions extends NatsServer {
  /** Shown in the server's list of connections. */
  readonly name: string;
  /** How long the first connection may take. */
  readonly connectTimeoutMs: number;
  /** Ends the waiting for the first connection, with its reason. */
  readonly signal?: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** 2.9 deadlocks for good on a full disk and has no `sync_interval`. */
const SERVER_VERSION_MIN = [2, 10] as const;

/** One connection to NATS that outlives outages of any length. */
export class LogConnection implements AsyncDisposable {
  /** For the adapters of this package only. */
  readonly nc: NatsConnection;
  readonly ends = new LogEnds();
  readonly #onReconnect = new Set<() => void>();
  #isConnected = true;
  #reconnectCount = 0;
  #closing: Promise<void> | undefined;

  private constructor(nc: NatsConnection, logger: Logger) {
    this.nc = nc;
    void this.#watch(logger).catch((error: unknown) => logger.error({ err: error }, 'nats status'));
  }

  /** @throws ClusterError LOG_UNAVAILABLE when no server of a fit version answers in time */
  static async start(options: ConnectionOptions): Promise<LogConnection> {
    const nc = await firstConnection(options);
    const version = nc.info?.version ?? 'unknown';
    const [major = 0, minor = 0] = version.split('.').map(Number);
    const [majorMin, minorMin] = SERVER_VERSION_MIN;
    if (major < majorMin || (major === majorMin && minor < minorMin)) {
      await nc.close();
      throw new ClusterError('LOG_UNAVAILABLE', `nats-server ${version} is too old`, {
        hint: 'nats-server 2.10 or later is needed: earlier ones deadlock on a full disk',
      });
    }
    if (nc.info?.jetstream !== true) {
      await nc.close();
      throw new ClusterError('LOG_UNAVAILABLE', 'the nats-server runs without JetStream', {
        hint: 'start it with -js, or with a jetstream block in its configuration',
      });
    }
    return new LogConnection(nc, options.logger);
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** Of the server that it is, or was last, connected to. */
  get serverVersion(): string | undefined {
    return this.nc.info?.version;
  }

  get reconnectCount(): number {
    return this.#reconnectCount;
  }

  /** Called after each reconnect; returns what takes the listener away again. */
  onReconnect(listener: () => void): () => void {
    this.#onReconnect.add(listener);
    return () => this.#onReconnect.delete(listener);
  }

  /** Rejects when the connection ends for good, which only `close` brings about. */
  close(): Promise<void> {
    return (this.#closing ??= this.#isConnected ? this.nc.drain() : this.nc.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #watch(logger: Logger): Promise<void> {
    for await (const status of this.nc.status()) {
      switch (status.type) {
        case Events.Disconnect:
          this.#isConnected = false;
          logger.warn('disconnected from nats');
          break;
        case Events.Reconnect:
          this.#isConnected = true;
          this.#reconnectCount++;
          logger.info('reconnected to nats');
          for (const listener of this.#onReconnect) listener();
          break;
        case Events.Error:
          logger.warn({ error: status.data }, 'nats error');
          break;
        case Events.LDM:
        case Events.Update:
        case DebugEvents.Reconnecting:
        case DebugEvents.PingTimer:
        case DebugEvents.StaleConnection:
        case DebugEvents.ClientInitiatedReconnect:
          break;
      }
    }
    this.#isConnected = false;
  }
}

async function firstConnection(options: ConnectionOptions): Promise<NatsConnection> {
  const deadline = new Deadline(options.clock, options.connectTimeoutMs);
  for (let attempt = 0; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await connect({
        ...natsAccess(options),
        name: options.name,
        // Else each request captures a stack for an error that hardly ever comes: a twelfth of a gateway's
        // time under recalls.
        noAsyncTraces: true,
        // The library's default gives up for good after 20 s.
        maxReconnectAttempts: -1,
        reconnectDelayHandler: reconnectDelays(options.clock),
        // Its default notices a half-open connection after 4 minutes.
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: Math.max(1_000, Math.min(5_000, deadline.remainingMs)),
      });
    } catch (cause) {
      const isRefused = cause instanceof NatsError && cause.isAuthError();
      if (isRefused || deadline.isOver) {
        const what = isRefused ? 'refuses this member' : 'does not answer';
        const why = (cause as Error).message;
        throw new ClusterError('LOG_UNAVAILABLE', `${placeOf(options)} ${what}: ${why}`, { cause });
      }
      await options.clock.sleep(backoffMs(attempt, 100, 1_000, Math.random), options.signal);
    }
  }
}
