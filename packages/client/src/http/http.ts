/** One request of HTTP, for whatever makes it: undici in Node, fetch in browsers. */
interface HttpRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly signal: AbortSignal;
}

/** An answer whose head is there; its body is read once. */
export interface HttpAnswer {
  readonly status: number;
  /** @param name in small letters */
  header(name: string): string | undefined;
  chunks(): AsyncIterableIterator<Uint8Array, unknown>;
}

/** @throws whatever kept the answer from coming */
export type HttpSend = (url: URL, request: HttpRequest) => Promise<HttpAnswer>;
