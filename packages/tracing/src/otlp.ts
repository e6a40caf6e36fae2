import { setTimeout as pause } from 'node:timers/promises';
import {
  ROOT_CONTEXT,
  SpanKind as Kind,
  SpanStatusCode,
  trace,
  type Context,
  type Span as OtelSpan,
  type Tracer,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { TracingOptions } from './start.ts';
import type { Attributes, Span, SpanKind, SpanOptions, Tracing } from './tracing.ts';

const KINDS: Readonly<Record<SpanKind, Kind>> = {
  server: Kind.SERVER,
  client: Kind.CLIENT,
  producer: Kind.PRODUCER,
  consumer: Kind.CONSUMER,
  internal: Kind.INTERNAL,
};

/** Spans that wait to be sent; beyond them the newest are dropped. */
const WAITING_MAX = 4_096;
const SEND_MS = 1_000;
/** A collector that is away must not hold up the end of a process. */
const SENT_MS_MAX = 2_000;

export class OtlpTracing implements Tracing {
  readonly #provider: BasicTracerProvider;
  readonly #tracer: Tracer;

  constructor({ url, ratio, service, member }: TracingOptions & { readonly url: string }) {
    const exporter = new OTLPTraceExporter({
      url: new URL('v1/traces', asFolder(url)).href,
      timeoutMillis: SENT_MS_MAX,
    });
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        'service.name': service,
        'service.instance.id': member,
      }),
      sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
      spanProcessors: [
        new BatchSpanProcessor(exporter, {
          maxQueueSize: WAITING_MAX,
          scheduledDelayMillis: SEND_MS,
          exportTimeoutMillis: SENT_MS_MAX,
        }),
      ],
    });
    this.#tracer = this.#provider.getTracer('engram');
  }

  begin(name: string, parent: string | undefined, options: SpanOptions): Span | undefined {
    return this.#span(name, contextOf(parent) ?? ROOT_CONTEXT, options);
  }

  continue(name: string, parent: string | undefined, options: SpanOptions): Span | undefined {
    const context = contextOf(parent);
    return context === undefined ? undefined : this.#span(name, context, options);
  }

  /** Sends what there is, as far as somebody takes it in time: where nobody does there is nobody to tell either. */
  async [Symbol.asyncDispose](): Promise<void> {
    const isOver = new AbortController();
    const sent = this.#provider.shutdown().catch(() => undefined);
    // The library waits for an answer that comes byte by byte for as long as it does.
    const late = pause(SENT_MS_MAX, undefined, { signal: isOver.signal }).catch(() => undefined);
    await Promise.race([sent, late]);
    isOver.abort();
  }

  #span(name: string, context: Context, options: SpanOptions): Span | undefined {
    const { kind, attributes, startedAtMs } = options;
    // The sampler keeps to what the caller chose, also where that is nothing.
    const span = this.#tracer.startSpan(
      name,
      {
        kind: KINDS[kind],
        ...(attributes === undefined ? {} : { attributes }),
        ...(startedAtMs === undefined ? {} : { startTime: startedAtMs }),
      },
      context,
    );
    return span.isRecording() ? new RecordedSpan(span) : undefined;
  }
}

class RecordedSpan implements Span {
  readonly traceparent: string;
  readonly #span: OtelSpan;

  constructor(span: OtelSpan) {
    this.#span = span;
    const { traceId, spanId } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-01`;
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  end(error?: unknown): void {
    if (error !== undefined) {
      const message = error instanceof Error ? error.message : 'failed';
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message });
    }
    this.#span.end();
  }
}

/** Undefined for none, and for what is no trace: anybody may have written it. */
function contextOf(traceparent: string | undefined): Context | undefined {
  const parent = traceparent === undefined ? null : parseTraceParent(traceparent);
  if (parent === null) return undefined;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
}

/** `http://host:4318` and `http://host/otlp` both have a path to go on from. */
function asFolder(url: string): string {
  return url.endsWith('/') ? url : `${url}/`;
}
