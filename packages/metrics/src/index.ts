export { countsOf, LATENCY_SECONDS, MetricsRegistry } from './catalogue.ts';
export { TopSpaces, type TopSpacesOptions } from './top-spaces.ts';
export type { Labels } from './catalogue.ts';
export type { Counter, Histogram } from 'prom-client';
