import type { AddressInfo } from 'node:net';
import { advertisedUrl } from '@engram/runtime';
import { OpenRequests } from './open-requests.ts';
import type { GatewayApp } from './server.ts';

interface Place {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

/** Routes that are served at a place. */
export class Port {
  readonly #app: GatewayApp;
  readonly #requests: OpenRequests;
  readonly url: string;

  private constructor(app: GatewayApp, requests: OpenRequests, url: string) {
    this.#app = app;
    this.#requests = requests;
    this.url = url;
  }

  /** @throws the system's error when the port is taken */
  static async open(app: GatewayApp, { scheme, host, port }: Place): Promise<Port> {
    const requests = new OpenRequests();
    app.server.on('request', (_, response) => requests.add(response));
    await app.listen({ host, port });
    const address = app.server.address() as AddressInfo;
    return new Port(app, requests, advertisedUrl(host, address.port, scheme));
  }

  /** Refuses new requests and finishes those that run. */
  async close(): Promise<void> {
    const closed = this.#app.close();
    await this.#requests.none();
    // To Node a connection on which nothing was asked yet is not idle, and would be waited for.
    this.#app.server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
