import { NO_TRACING, type Tracing } from './tracing.ts';

export interface TracingOptions {
  /** Where spans are sent by OTLP over HTTP, such as `http://jaeger:4318`; undefined: nowhere. */
  readonly url: string | undefined;
  /** Share of new traces that are sampled, 0 to 1. */
  readonly ratio: number;
  /** `engram-gateway`, `engram-shard`. */
  readonly service: string;
  readonly member: string;
}

/** Off without a URL; OpenTelemetry is not even loaded then. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  const { url } = options;
  if (url === undefined) return NO_TRACING;
  const { OtlpTracing } = await import('./otlp.ts');
  return new OtlpTracing({ ...options, url });
}
