export { startTracing } from './start.ts';
export { NO_TRACING, traced, TRACEPARENT } from './tracing.ts';
export type { Span, SpanKind, Tracing } from './tracing.ts';
