import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetricsRegistry } from '@engram/metrics';
import { advertisedUrl } from '@engram/runtime';

export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: MetricsRegistry;
  /** Why the shard is not ready; undefined when it is. */
  readonly fault: () => string | undefined;
}

/** `/livez`, `/readyz` and `/metrics` of a shard, for orchestrators and Prometheus. */
export class HealthServer implements AsyncDisposable {
  readonly #server: Server;
  readonly url: string;

  private constructor(server: Server, host: string) {
    this.#server = server;
    this.url = advertisedUrl(host, (server.address() as AddressInfo).port);
  }

  static async start({ host, port, metrics, fault }: HealthOptions): Promise<HealthServer> {
    const server = createServer((request, response) => {
      const send = (status: number, type: string, body: string) =>
        response.writeHead(status, { 'content-type': type }).end(body);
      switch (request.url?.split('?', 1)[0] ?? '') {
        case '/livez':
          return send(200, 'application/json', '{"status":"ok"}');
        case '/readyz': {
          const reason = fault();
          const body = reason === undefined ? { status: 'ok' } : { status: 'unready', reason };
          return send(reason === undefined ? 200 : 503, 'application/json', JSON.stringify(body));
        }
        case '/metrics':
          return void metrics
            .render()
            .then((text) => send(200, metrics.contentType, text))
            .catch(() => send(500, 'text/plain', 'the metrics could not be read'));
        default:
          return send(404, 'application/json', '{"status":"no such route"}');
      }
    });
    server.listen(port, host);
    await once(server, 'listening');
    return new HealthServer(server, host);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
