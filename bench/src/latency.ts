import { build } from 'hdr-histogram-js';
import { mean } from './samples.ts';
import type { RecallSample } from './recall-load.ts';

export interface Latency {
  readonly count: number;
  /** Without an answer from the whole cluster; their time counts, their recall does not. */
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Mean recall@10 against the whole data set; NaN when nothing was answered. */
  readonly recall: number;
}

type Answered = Pick<RecallSample, 'latencyMs' | 'recall'>;

/** Undefined when there are no samples. */
export function latencyOf(samples: readonly Answered[]): Latency | undefined {
  if (samples.length === 0) return undefined;
  const histogram = build({ lowestDiscernibleValue: 1, numberOfSignificantValueDigits: 3 });
  for (const { latencyMs } of samples)
    histogram.recordValue(Math.max(1, Math.round(latencyMs * 1_000)));
  const found = samples.flatMap(({ recall }) => recall ?? []);
  return {
    count: samples.length,
    failed: samples.length - found.length,
    p50Ms: histogram.getValueAtPercentile(50) / 1_000,
    p99Ms: histogram.getValueAtPercentile(99) / 1_000,
    maxMs: histogram.maxValue / 1_000,
    recall: mean(found),
  };
}

/** As it stands in a file of results: whole samples would be many times as long. */
export function listed(samples: readonly RecallSample[]): object {
  const summary = latencyOf(samples);
  const { recall, failed } = summary ?? {};
  return {
    recall,
    failed,
    latenciesMs: samples.map(({ latencyMs }) => Number(latencyMs.toFixed(1))),
  };
}
