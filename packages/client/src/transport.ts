export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** One question to the cluster, in the words of its REST API, whatever carries it. */
export interface TransportRequest {
  readonly method: Method;
  /** Begins with `/v1/`; every part is percent-encoded already. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** JSON text. It is sent again as it is when the request is repeated. */
  readonly body?: string;
  readonly idempotencyKey?: string;
}

export interface TransportResponse {
  readonly status: number;
  /** What the cluster asks to wait before the next try. */
  readonly retryAfterMs: number | undefined;
  /** The parsed body; undefined when there is none or it is not JSON. */
  readonly body: unknown;
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
}
