import { once } from 'node:events';
import type { ServerResponse } from 'node:http';

/** The requests that are not answered to their end yet. */
export class OpenRequests {
  readonly #responses = new Set<ServerResponse>();

  add(response: ServerResponse): void {
    this.#responses.add(response);
    response.once('close', () => this.#responses.delete(response));
  }

  /** Resolves when there is none. */
  async none(): Promise<void> {
    for (const response of this.#responses) await once(response, 'close');
  }
}
