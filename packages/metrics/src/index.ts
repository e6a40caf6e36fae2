export { LATENCY_SECONDS, MetricsRegistry } from './catalogue.ts';
export type { Labels } from './catalogue.ts';
export type { Counter, Histogram } from 'prom-client';
