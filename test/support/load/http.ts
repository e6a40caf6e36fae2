/** An answer of a gateway; undefined where there was none, and nobody knows what happened. */
export interface HttpAnswer {
  /** 0: nobody listened, so that nothing was sent. */
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface HttpQuestion {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Asks once: a client that repeats by itself could not say which try was which. */
export async function ask(url: string, question: HttpQuestion): Promise<HttpAnswer | undefined> {
  const { method, path, body, headers, timeoutMs } = question;
  try {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text) as HttpAnswer['body'] };
  } catch (error) {
    if (isUnsent(error)) return { status: 0, body: {} };
    // Reset, late or cut off in the middle: all the same to the history.
    return undefined;
  }
}

/** `fetch` says why it failed in the cause of its error. */
function isUnsent(error: unknown): boolean {
  const cause =
    error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === 'ECONNREFUSED';
}

/** What an answer that is no success says: no, or nothing that could be relied upon. */
export function isRefusal({ status }: HttpAnswer): boolean {
  return status === 0 || (status >= 400 && status < 500 && status !== 408);
}
