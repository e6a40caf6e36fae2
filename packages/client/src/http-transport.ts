import { send } from '#http';
import { notOfAGateway } from './answers.ts';
import { ConnectionError } from './errors.ts';
import type { HttpAnswer } from './http/http.ts';
import { detailsOf, isOk } from './problem.ts';
import type {
  Transport,
  TransportRequest,
  TransportResponse,
  TransportStream,
} from './transport.ts';

const ACCEPT_JSON = 'application/json, application/problem+json';
const ACCEPT_ANY = '*/*';
const ACCEPT_LINES = 'application/x-ndjson, application/problem+json';
/** Some times what a gateway ever answers: whatever else listens there must not fill the memory. */
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;
const LINE_CHARS_MAX = 16 * 1024 * 1024;

/** An API key or a token, or what gives one for each call. */
export type ApiKeySource = string | (() => string | Promise<string>);

/** @throws TypeError for a key that cannot stand in a header; who sends it would repeat it in an error */
export async function authorizationOf(source: ApiKeySource): Promise<string> {
  const given: unknown = typeof source === 'string' ? source : await source();
  // One that was read from a file ends with a line break.
  const key = typeof given === 'string' ? given.trim() : '';
  if (key === '')
    throw new TypeError('the API key is empty: give one, or leave apiKey out where none is needed');
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new TypeError('the API key has characters that no key has');
  return `Bearer ${key}`;
}

/** A request, and who makes it. */
type SignedRequest = TransportRequest & { readonly authorization?: string };

type Limits = Parameters<Transport['exchange']>[1];

/** REST over kept-alive connections. */
export class HttpTransport implements Transport {
  readonly #urls: readonly URL[];
  readonly #apiKey: ApiKeySource | undefined;
  /** The gateway that is asked first: the last one that answered. */
  #first = 0;

  /** @throws TypeError for a text that is not a URL */
  constructor(urls: readonly string[], apiKey?: ApiKeySource) {
    this.#apiKey = apiKey;
    // A base without the last slash would lose its last folder when a path is resolved on it.
    this.#urls = urls.map((url) => new URL(url.endsWith('/') ? url : `${url}/`));
  }

  async exchange(request: TransportRequest, limits: Limits): Promise<TransportResponse> {
    const signed = await this.#sign(request);
    return this.#askInTurn(limits, (base) => askForOne(base, signed, limits));
  }

  async stream(request: TransportRequest, limits: Limits): Promise<TransportStream> {
    const signed = await this.#sign(request);
    return this.#askInTurn(limits, (base) => askForLines(base, signed, limits));
  }

  async #sign(request: TransportRequest): Promise<SignedRequest> {
    if (this.#apiKey === undefined) return request;
    return { ...request, authorization: await authorizationOf(this.#apiKey) };
  }

  async #askInTurn<T extends TransportResponse>(
    limits: Limits,
    askOne: (base: URL) => Promise<T>,
  ): Promise<T> {
    const tried: string[] = [];
    let last: unknown;
    for (let i = 0; i < this.#urls.length; i++) {
      const place = (this.#first + i) % this.#urls.length;
      const base = this.#urls[place] as URL;
      tried.push(base.origin);
      try {
        const response = await askOne(base);
        // A gateway that is draining or cut off says 503; its neighbour may be well.
        this.#first = response.status === 503 ? (place + 1) % this.#urls.length : place;
        return response;
      } catch (error) {
        limits.signal?.throwIfAborted();
        last = error;
      }
    }
    throw failed(tried, last);
  }
}

class Expired extends Error {}

function failed(urls: readonly string[], cause: unknown): ConnectionError {
  if (cause instanceof ConnectionError) return cause;
  if (cause instanceof Expired) return new ConnectionError('timeout', urls, cause);
  return new ConnectionError(isOfCertificate(cause) ? 'untrusted' : 'unreachable', urls, cause);
}

/** By the codes of OpenSSL and Node; browsers do not say why. */
function isOfCertificate(cause: unknown): boolean {
  const { code } = Object(cause) as { readonly code?: unknown };
  return typeof code === 'string' && /CERT|ISSUER|SIGNATURE|HOSTNAME/.test(code);
}

/** The signal of one request: aborted by the caller's, or when a wait takes too long. */
class Attempt {
  readonly #controller = new AbortController();
  readonly #limits: Limits;
  readonly #cancel = () => this.#controller.abort(this.#limits.signal?.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(limits: Limits) {
    this.#limits = limits;
    limits.signal?.addEventListener('abort', this.#cancel, { once: true });
    if (limits.signal?.aborted) this.#cancel();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  // Not AbortSignal.timeout: its timers outlive the request, thousands of them under load.
  async waitFor<T>(answer: Promise<T>): Promise<T> {
    const { timeoutMs } = this.#limits;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Expired(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      return await answer;
    } finally {
      clearTimeout(this.#timer);
    }
  }

  release(): void {
    this.#limits.signal?.removeEventListener('abort', this.#cancel);
  }

  /** Ends the request, where it still goes on. */
  end(): void {
    this.release();
    this.#controller.abort();
  }
}

async function askForOne(
  base: URL,
  request: SignedRequest,
  limits: Limits,
): Promise<TransportResponse> {
  const attempt = new Attempt(limits);
  try {
    return await attempt.waitFor(
      ask(
        base,
        request,
        attempt.signal,
        request.wantsBytes === true ? ACCEPT_ANY : ACCEPT_JSON,
      ).then((response) => responseOf(response, request.wantsBytes)),
    );
  } finally {
    attempt.release();
  }
}

async function askForLines(
  base: URL,
  request: SignedRequest,
  limits: Limits,
): Promise<TransportStream> {
  const attempt = new Attempt(limits);
  let isOpen = false;
  try {
    const response = await attempt.waitFor(ask(base, request, attempt.signal, ACCEPT_LINES));
    if (!isOk(response.status))
      return { ...(await attempt.waitFor(responseOf(response))), lines: undefined };
    isOpen = true;
    const lines = linesOf(response, attempt, base, limits.signal);
    return { status: response.status, retryAfterMs: undefined, body: undefined, lines };
  } finally {
    if (!isOpen) attempt.release();
  }
}

async function* linesOf(
  response: HttpAnswer,
  attempt: Attempt,
  base: URL,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void> {
  const chunks = response.chunks();
  const decoder = new TextDecoder();
  let begun = '';
  try {
    for (;;) {
      const next = await attempt.waitFor(chunks.next());
      const isLast = next.done === true;
      const bytes = isLast ? undefined : next.value;
      const [first = '', ...more] = decoder.decode(bytes, { stream: !isLast }).split('\n');
      begun += first;
      if (begun.length > LINE_CHARS_MAX) throw notOfAGateway('a line of its answer has no end');
      for (const line of more) {
        yield begun;
        begun = line;
      }
      if (isLast) break;
    }
    if (begun !== '') yield begun;
  } catch (error) {
    signal?.throwIfAborted();
    throw failed([base.origin], error);
  } finally {
    attempt.end();
  }
}

async function ask(
  base: URL,
  request: SignedRequest,
  signal: AbortSignal,
  accept: string,
): Promise<HttpAnswer> {
  const url = new URL(request.path.slice(1), base);
  for (const [name, value] of Object.entries(request.query ?? {}))
    if (value !== undefined) url.searchParams.set(name, String(value));
  const answer = await send(url, {
    method: request.method,
    headers: headersOf(request, accept),
    signal,
    ...(request.body === undefined ? {} : { body: request.body }),
  });
  if (!isRedirect(answer.status)) return answer;
  // Who answers in a gateway's place must not have what is stored sent elsewhere.
  const place = answer.header('location');
  throw notOfAGateway(`it redirects${place === undefined ? '' : ` to ${place}`}; name that one`);
}

/** Browsers tell a page nothing of one, not even its status. */
function isRedirect(status: number): boolean {
  return status === 0 || (status >= 300 && status < 400);
}

async function responseOf(response: HttpAnswer, wantsBytes?: true): Promise<TransportResponse> {
  const { status } = response;
  const isWanted = wantsBytes === true && isOk(status);
  const bytes = await bytesOf(response);
  const body = isWanted ? bytes : parse(new TextDecoder().decode(bytes));
  const told = isOk(status) ? undefined : detailsOf(body)['retryAfterMs'];
  return {
    status,
    // The header has whole seconds only.
    retryAfterMs: typeof told === 'number' ? told : retryAfterMs(response.header('retry-after')),
    body,
  };
}

async function bytesOf(response: HttpAnswer): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.chunks()) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw notOfAGateway('its answer has no end');
  }
  if (chunks.length === 1) return chunks[0]!;
  const bytes = new Uint8Array(length);
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.length;
  }
  return bytes;
}

function headersOf(
  {
    authorization,
    body,
    contentType = 'application/json',
    requestId,
    idempotencyKey,
  }: SignedRequest,
  accept: string,
): Record<string, string> {
  return {
    accept,
    ...(authorization === undefined ? {} : { authorization }),
    ...(body === undefined ? {} : { 'content-type': contentType }),
    ...(requestId === undefined ? {} : { 'engram-request-id': requestId }),
    ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
  };
}

/** Retry-After in seconds; its other form, a date, depends on clocks that agree, so is left. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
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
