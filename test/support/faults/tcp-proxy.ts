// A TCP proxy on loopback that can be told to be a bad network.
//
//   T1. What it passes on, it passes on whole and in order; a fault only delays bytes or ends connections.
//   T2. `hold` is a network that lost its way: sockets stay open, and nothing arrives until it is lifted.
//   T3. close() ends every socket.

import { createServer, connect, type Server, type Socket } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';

/** `up`: from the member to the server; `down`: from the server to the member. */
export type Direction = 'up' | 'down';

interface Link {
  readonly member: Socket;
  readonly server: Socket;
  readonly valves: Readonly<Record<Direction, Valve>>;
}

export class TcpProxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #held = new Set<Direction>();
  #delayMs = 0;
  #isRefusing = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** @param target where to connect, asked for each connection: the server may start later */
  static async start(target: () => { readonly host: string; readonly port: number }) {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const proxy = new TcpProxy(server, address.port);
    server.on('connection', (member) => proxy.#accept(member, target));
    return proxy;
  }

  /** Delays every chunk in both directions; 0 ends it. */
  delay(ms: number): void {
    this.#delayMs = ms;
    for (const { valves } of this.#links)
      for (const valve of Object.values(valves)) valve.delayMs = ms;
  }

  /** Lets nothing through any more in these directions, on old connections and new ones (T2). */
  hold(directions: readonly Direction[]): void {
    for (const direction of directions) this.#held.add(direction);
    this.#set();
  }

  /** Resets all connections; new ones are taken. */
  cut(): void {
    for (const { member, server } of this.#links) {
      member.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Ends the server's side of all connections, and the member is not told. */
  halfOpen(): void {
    for (const { member, server } of this.#links) {
      server.unpipe();
      member.unpipe();
      server.removeAllListeners('close');
      server.destroy();
    }
  }

  /** Resets all connections and every new one. */
  refuse(): void {
    this.#isRefusing = true;
    this.cut();
  }

  /** Ends every fault. Connections that were left half-open are reset. */
  heal(): void {
    this.#isRefusing = false;
    this.#held.clear();
    this.delay(0);
    this.#set();
    for (const { member, server } of this.#links) if (server.destroyed) member.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #set(): void {
    for (const { valves } of this.#links)
      for (const direction of ['up', 'down'] as const)
        valves[direction].setHeld(this.#held.has(direction));
  }

  #accept(member: Socket, target: () => { readonly host: string; readonly port: number }): void {
    // A member that finds nobody reconnects; why it found nobody does not matter to it.
    member.on('error', () => member.destroy());
    if (this.#isRefusing) {
      member.resetAndDestroy();
      return;
    }
    const server = connect({ ...target(), allowHalfOpen: true });
    server.on('error', () => server.destroy());
    const valves = { up: new Valve(this.#delayMs), down: new Valve(this.#delayMs) };
    const link: Link = { member, server, valves };
    this.#links.add(link);
    this.#set();
    member.on('close', () => {
      this.#links.delete(link);
      server.destroy();
    });
    // An orderly end travels through the pipe, behind what was sent before it.
    server.on('close', (hadError) => hadError && member.resetAndDestroy());
    member.pipe(valves.up).pipe(server);
    server.pipe(valves.down).pipe(member);
  }
}

/** Passes chunks on, late or not until it is opened again; what waits is bounded by the sockets. */
class Valve extends Transform {
  delayMs: number;
  #isHeld = false;
  #waiting: (() => void) | undefined;

  constructor(delayMs: number) {
    super();
    this.delayMs = delayMs;
  }

  setHeld(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (isHeld) return;
    const pass = this.#waiting;
    this.#waiting = undefined;
    pass?.();
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    const pass = (): void => {
      if (this.#isHeld) this.#waiting = pass;
      else done(null, chunk);
    };
    if (this.delayMs === 0) pass();
    else setTimeout(pass, this.delayMs).unref();
  }
}
