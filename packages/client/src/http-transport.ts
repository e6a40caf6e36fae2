import { ConnectionError } from './errors.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

type Limits = Parameters<Transport['exchange']>[1];

/** REST over the runtime's own fetch, with its kept-alive connections. */
export class HttpTransport implements Transport {
  readonly #urls: readonly URL[];
  /** The gateway that is asked first: the last one that answered. */
  #first = 0;

  /** @throws TypeError for a text that is not a URL */
  constructor(urls: readonly string[]) {
    if (urls.length === 0) throw new TypeError('the client needs the url of a gateway');
    // A base without the last slash would lose its last folder when a path is resolved on it.
    this.#urls = urls.map((url) => new URL(url.endsWith('/') ? url : `${url}/`));
  }

  async exchange(request: TransportRequest, limits: Limits): Promise<TransportResponse> {
    const tried: string[] = [];
    let last: unknown;
    for (let i = 0; i < this.#urls.length; i++) {
      const place = (this.#first + i) % this.#urls.length;
      const base = this.#urls[place] as URL;
      tried.push(base.origin);
      try {
        const response = await ask(base, request, limits);
        // A gateway that is draining or cut off says 503; its neighbour may be well.
        this.#first = response.status === 503 ? (place + 1) % this.#urls.length : place;
        return response;
      } catch (error) {
        limits.signal?.throwIfAborted();
        last = error;
      }
    }
    throw new ConnectionError(last instanceof Expired ? 'timeout' : 'unreachable', tried, last);
  }
}

class Expired extends Error {}

async function ask(base: URL, request: TransportRequest, limits: Limits) {
  const url = new URL(request.path.slice(1), base);
  for (const [name, value] of Object.entries(request.query ?? {}))
    if (value !== undefined) url.searchParams.set(name, String(value));

  // Not AbortSignal.timeout: its timers outlive the request, thousands of them under load.
  const attempt = new AbortController();
  const { signal, timeoutMs } = limits;
  const cancel = () => attempt.abort(signal?.reason);
  const timer = setTimeout(() => {
    attempt.abort(new Expired(`no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  signal?.addEventListener('abort', cancel, { once: true });
  if (signal?.aborted) cancel();
  try {
    const response = await fetch(url, {
      method: request.method,
      headers: headersOf(request),
      signal: attempt.signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    return {
      status: response.status,
      retryAfterMs: retryAfterMs(response.headers.get('retry-after')),
      body: parse(await response.text()),
    };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

function headersOf({ body, idempotencyKey }: TransportRequest): Record<string, string> {
  return {
    accept: 'application/json, application/problem+json',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
  };
}

/** Retry-After in seconds; its other form, a date, depends on clocks that agree, so is left. */
function retryAfterMs(header: string | null): number | undefined {
  if (header === null) return undefined;
  const seconds = Number(header);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // An empty answer, or a proxy's page: the status is all there is to know.
    return undefined;
  }
}
