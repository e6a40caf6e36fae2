// Traces through HTTP, NATS and threads, handed on from caller to callee by hand: nothing follows the stack, so
// that what is not traced pays nothing.
//
//   T1. Off, or for a request that is not sampled, there is no span, no header, and nothing of OpenTelemetry runs.
//   T2. Who continues a trace never begins one: only gateways choose what is sampled.

/** The header of HTTP and of NATS that carries a trace. Source: W3C Trace Context. */
export const TRACEPARENT = 'traceparent';

export type SpanKind = 'server' | 'client' | 'producer' | 'consumer' | 'internal';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  /** For whoever goes on from here. */
  readonly traceparent: string;
  set(attributes: Attributes): void;
  /** Its time is over; the error is why it failed. */
  end(error?: unknown): void;
}

export interface SpanOptions {
  readonly kind: SpanKind;
  readonly attributes?: Attributes;
  /** Milliseconds since 1970; by default now. */
  readonly startedAtMs?: number;
}

export interface Tracing extends AsyncDisposable {
  /**
   * A span of a trace that the caller brought, or of a new one.
   * @returns undefined where it is not sampled
   */
  begin(name: string, parent: string | undefined, options: SpanOptions): Span | undefined;
  /** The same of a trace that there is; undefined without one. */
  continue(name: string, parent: string | undefined, options: SpanOptions): Span | undefined;
}

export const NO_TRACING: Tracing = {
  begin: () => undefined,
  continue: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

/** The span ends with the work, and has failed where that has. */
export async function traced<T>(span: Span | undefined, work: () => Promise<T>): Promise<T> {
  if (span === undefined) return work();
  try {
    const result = await work();
    span.end();
    return result;
  } catch (error) {
    span.end(error);
    throw error;
  }
}
