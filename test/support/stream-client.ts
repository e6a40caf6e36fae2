import { decodeServerMessage, encodeMessage, type ClientMessage } from '@engram/session';
import type { Format, ServerMessage } from '@engram/session';
import { WebSocket } from 'ws';
import { until } from './until.ts';

type OfType<T extends ServerMessage['type']> = Extract<ServerMessage, { readonly type: T }>;

/** Speaks the protocol of sessions message by message, right or wrong. */
export class StreamClient implements Disposable {
  readonly received: ServerMessage[] = [];
  /** Set once it is closed. */
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly socket: WebSocket;
  readonly #format: Format;

  private constructor(url: string, format: Format) {
    this.#format = format;
    this.socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/stream`);
    this.socket.on('message', (data: Buffer, isBinary) => {
      this.received.push(decodeServerMessage(isBinary ? data : data.toString()));
    });
    this.socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    // A refused connection shows by its close.
    this.socket.on('error', () => undefined);
  }

  static async connect(url: string, format: Format = 'json'): Promise<StreamClient> {
    const client = new StreamClient(url, format);
    await until('the connection is open', () => client.socket.readyState === WebSocket.OPEN);
    return client;
  }

  /** With a session. */
  static async open(
    url: string,
    open: Readonly<Record<string, unknown>>,
    format: Format = 'json',
  ): Promise<StreamClient> {
    const client = await StreamClient.connect(url, format);
    client.send({ type: 'open', ...open });
    await client.next('opened');
    return client;
  }

  send(message: Readonly<Record<string, unknown>>): void {
    this.socket.send(encodeMessage(this.#format, message as unknown as ClientMessage));
  }

  batch(seq: number, observations: unknown): void {
    this.send({ type: 'batch', seq, observations });
  }

  /** The first message of a type, or that also fits; it is then taken from what was received. */
  next<T extends ServerMessage['type']>(
    type: T,
    fits: (message: OfType<T>) => boolean = () => true,
  ): Promise<OfType<T>> {
    return until(
      `a message ${type} comes`,
      () => {
        const isIt = (message: ServerMessage): message is OfType<T> =>
          message.type === type && fits(message as OfType<T>);
        const index = this.received.findIndex(isIt);
        if (index < 0) return undefined;
        return this.received.splice(index, 1)[0] as OfType<T>;
      },
      20_000,
    );
  }

  async whenClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    return until('the connection is closed', () => this.closed, 20_000);
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}
