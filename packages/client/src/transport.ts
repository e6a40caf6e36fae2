export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** One question to the cluster, in the words of its REST API, whatever carries it. */
export interface TransportRequest {
  readonly method: Method;
  /** Begins with `/v1/`; every part is percent-encoded already. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** It is sent again as it is when the request is repeated. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Of the body; default JSON. */
  readonly contentType?: string;
  readonly requestId?: string;
  readonly idempotencyKey?: string;
  /** The body of a success is wanted as its bytes. */
  readonly wantsBytes?: true;
}

export interface TransportResponse {
  readonly status: number;
  /** What the cluster asks to wait before the next try. */
  readonly retryAfterMs: number | undefined;
  /** The parsed body, or its bytes where those are wanted; undefined when it is not JSON. */
  readonly body: unknown;
}

/** An answer that comes in lines. */
export interface TransportStream extends TransportResponse {
  /** Of a success, to be read once; `return` ends the request. Another answer has its `body`. */
  readonly lines: AsyncGenerator<string, void> | undefined;
}

/**
 * Carries requests to a cluster. It answers for every status and throws only when there is no
 * answer: ConnectionError, or the reason of the signal.
 */
export interface Transport {
  exchange(
    request: TransportRequest,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<TransportResponse>;

  /**
   * Asks for an answer of lines (NDJSON). The timeout is for its beginning, and then for each wait; a
   * line that does not come throws ConnectionError.
   */
  stream(
    request: TransportRequest,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
  ): Promise<TransportStream>;
}
