import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { ServerMessage } from '@engram/session';
import { WebSocketServer, type WebSocket } from 'ws';

interface Received {
  readonly type: string;
  readonly seq?: number;
  readonly observations?: readonly { readonly id: string }[];
  readonly resume?: { readonly session: string; readonly acked: number };
}

/** A gateway's side of sessions that answers what the test tells it to. */
export class FakeStream implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly texts: string[] = [];
  readonly url: string;
  /** What is answered to each message. */
  onMessage: (message: Received, self: FakeStream) => void = () => undefined;
  readonly #server: WebSocketServer;
  #socket: WebSocket | undefined;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => {
      this.#socket = socket;
      socket.on('message', (data: Buffer) => {
        const text = data.toString();
        const message = JSON.parse(text) as Received;
        this.received.push(message);
        this.texts.push(text);
        this.onMessage(message, this);
      });
    });
  }

  static async start(): Promise<FakeStream> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/v1/stream' });
    await once(server, 'listening');
    return new FakeStream(server);
  }

  send(message: ServerMessage): void {
    this.#socket?.send(JSON.stringify(message));
  }

  opened(acked = 0, items = 100, batchItemsMax = 10): void {
    this.send({
      type: 'opened',
      session: 's-1',
      space: 'docs' as never,
      dimension: 1,
      acked,
      credit: { items, bytes: 1_000_000 },
      batchItemsMax,
      messageBytesMax: 100_000,
      idleMs: 1_000,
    });
  }

  ack(upTo: number, more: Partial<Extract<ServerMessage, { type: 'ack' }>> = {}): void {
    this.send({
      type: 'ack',
      upTo,
      level: 'logged',
      position: `1-0.${upTo}.0`,
      credit: { items: 100, bytes: 1_000_000 },
      ...more,
    });
  }

  batches(): number[] {
    return this.received.flatMap(({ type, seq }) =>
      type === 'batch' && seq !== undefined ? [seq] : [],
    );
  }

  close(code: number): void {
    this.#socket?.close(code);
  }

  /** As a gateway that is killed. */
  lose(): void {
    this.#socket?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
