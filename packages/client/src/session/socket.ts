import { authorizationOf, type ApiKeySource } from '../http-transport.ts';

/** What this needs of a WebSocket, Node's or a browser's. */
export interface Socket {
  addEventListener(type: 'open', listener: () => void): void;
  /** Only Node's says why, as a text. */
  addEventListener(type: 'error', listener: (event: { readonly message?: string }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number }) => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  send(text: string): void;
  close(code?: number): void;
}

type OpenSocket = (url: string) => Promise<Socket>;

/** Node has a WebSocket of its own from 22 on only, so there it is always the same library's. */
export async function socketOpener(apiKey: ApiKeySource | undefined): Promise<OpenSocket> {
  const { WebSocket: Own } = globalThis as { readonly WebSocket?: new (url: string) => Socket };
  const isNode = typeof globalThis.process?.versions?.node === 'string';
  if (Own !== undefined && !isNode) {
    if (apiKey !== undefined)
      throw new TypeError(
        'a browser sends no API key with a WebSocket: leave the session to a server',
      );
    return (url) => Promise.resolve(new Own(url));
  }
  const { WebSocket } = await import('ws');
  return async (url) => {
    // For each connection: tokens end.
    const headers = apiKey === undefined ? {} : { authorization: await authorizationOf(apiKey) };
    return new WebSocket(url, { headers, perMessageDeflate: false });
  };
}

/** @param base of the REST API */
export function streamUrl(base: string): string {
  const url = new URL('v1/stream', base.endsWith('/') ? base : `${base}/`);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}
