import { EF_DEFAULT, GRAPH } from './bare-graph.ts';
import { K, QUERY_COUNT } from './dataset.ts';
import { GATEWAYS, SHARDS } from './fresh-cluster.ts';
import type { Figure } from './figures/figure.ts';
import type { GroupReport } from './group.ts';
import { BATCH, IN_FLIGHT, INDEXED_POLL_MS, type ImportTimes } from './import.ts';
import { latencyOf, listed } from './latency.ts';
import type { RecallSample } from './recall-load.ts';
import { formatMs, formatRate, formatRatio, formatRecall, formatSpread } from './samples.ts';

export interface Imported {
  readonly times: ImportTimes;
  /** Recalls when everything was indexed and nothing else ran. */
  readonly atRest: readonly RecallSample[];
}

/** An import with recalls beside it. */
export interface Mixed extends Imported {
  /** What was sent while observations were still missing: no recall@10 can be told. */
  readonly beforeSearchable: readonly RecallSample[];
  /** What was sent while all were there and some were not in the graph. */
  readonly afterSearchable: readonly RecallSample[];
  /** Those of them that were answered before all were in the graph. */
  readonly fresh: readonly RecallSample[];
}

/** One list a repetition. */
type Samples = readonly (readonly RecallSample[])[];

export interface Repetition {
  readonly bare: { readonly tookMs: number; readonly recall: number };
  readonly rest: Imported;
  readonly nats: Imported;
  readonly mixed: Mixed;
}

export function reportIngest(
  words: number,
  recallsPerSecond: number,
  repetitions: readonly Repetition[],
): GroupReport {
  return {
    tables: [ratesTable(words, recallsPerSecond, repetitions), latencyTable(repetitions)],
    notes: [
      'median (min–max) of the repetitions; a ratio is of one repetition, then the median of those',
      'logged and searchable need no graph, so a ratio above 1 there is no faster graph; indexed is what compares',
      'recall@10 of a rate is the one at the default ef after everything was indexed',
      'every cluster is new and not warmed up; the load generator shares the machine with it',
      'recall latency is of an open loop and counts from the time when the recall should have been sent',
      'p50 and p99 are of all repetitions together, their ranges of one repetition each',
      'one space lives on one shard and one thread there: this is not what the cluster takes in all',
    ],
    figures: figuresOf(repetitions),
    data: {
      cluster: { gateways: GATEWAYS, shards: SHARDS },
      load: { batch: BATCH, inFlight: IN_FLIGHT, recallsPerSecond, k: K },
      graph: GRAPH,
      queries: QUERY_COUNT,
      indexedPollMs: INDEXED_POLL_MS,
      samples: repetitions.map(compact),
    },
  };
}

/** Only what has done the work of the bare loop compares with it. */
function figuresOf(repetitions: readonly Repetition[]): Figure[] {
  return (['rest', 'nats', 'mixed'] as const).map((way) => ({
    name: `${way}, until indexed, of the bare loop`,
    unit: '×',
    better: 'higher',
    samples: repetitions.map((each) => each.bare.tookMs / each[way].times.indexedMs),
  }));
}

function ratesTable(
  words: number,
  recallsPerSecond: number,
  repetitions: readonly Repetition[],
): GroupReport['tables'][number] {
  const bareRecall = formatSpread(
    repetitions.map(({ bare }) => bare.recall),
    formatRecall,
  );
  const rowsOf = (
    way: string,
    timesOf: (each: Repetition) => ImportTimes,
    samplesOf: (each: Repetition) => readonly RecallSample[],
  ): string[][] => {
    const recall = recallSpread(repetitions.map(samplesOf));
    const steps = ['loggedMs', 'searchableMs', 'indexedMs'] as const;
    return steps.map((step) => [
      `${way}, until ${step.slice(0, -2)}`,
      formatSpread(
        repetitions.map((each) => timesOf(each)[step] / 1_000),
        (seconds) => seconds.toFixed(2),
      ),
      formatSpread(
        repetitions.map((each) => (words * 1_000) / timesOf(each)[step]),
        formatRate,
      ),
      formatSpread(
        repetitions.map((each) => each.bare.tookMs / timesOf(each)[step]),
        formatRatio,
      ),
      recall,
    ]);
  };
  return {
    title: `${words} words of 100 dimensions into one space; ${GATEWAYS} gateway, ${SHARDS} shards; batches of ${BATCH}, ${IN_FLIGHT} in flight`,
    head: ['way', 'seconds', 'observations/s', 'ratio to the bare loop', 'recall@10'],
    rows: [
      [
        `bare hnswlib loop, ef ${EF_DEFAULT}`,
        formatSpread(
          repetitions.map(({ bare }) => bare.tookMs / 1_000),
          (seconds) => seconds.toFixed(2),
        ),
        formatSpread(
          repetitions.map(({ bare }) => (words * 1_000) / bare.tookMs),
          formatRate,
        ),
        '1',
        bareRecall,
      ],
      ...rowsOf(
        'REST',
        ({ rest }) => rest.times,
        ({ rest }) => rest.atRest,
      ),
      ...rowsOf(
        'NATS',
        ({ nats }) => nats.times,
        ({ nats }) => nats.atRest,
      ),
      ...rowsOf(
        `REST and ${recallsPerSecond} recalls/s`,
        ({ mixed }) => mixed.times,
        ({ mixed }) => mixed.atRest,
      ),
    ],
  };
}

function latencyTable(repetitions: readonly Repetition[]): GroupReport['tables'][number] {
  const row = (when: string, sets: Samples, whole: Samples | undefined) => {
    const each = sets.flatMap((samples) => latencyOf(samples) ?? []);
    const all = latencyOf(sets.flat());
    if (all === undefined) return [when, '0', '–', '–', '–', '–', '–'];
    const range = (values: readonly number[], middle: number): string =>
      values.length < 2
        ? formatMs(middle)
        : `${formatMs(middle)} (${formatMs(Math.min(...values))}–${formatMs(Math.max(...values))})`;
    return [
      when,
      String(all.count),
      String(all.failed),
      range(
        each.map(({ p50Ms }) => p50Ms),
        all.p50Ms,
      ),
      range(
        each.map(({ p99Ms }) => p99Ms),
        all.p99Ms,
      ),
      formatMs(all.maxMs),
      whole === undefined ? 'not yet whole' : recallSpread(whole),
    ];
  };
  const of = (pick: (each: Repetition) => readonly RecallSample[]) => repetitions.map(pick);
  return {
    title: `recall of ${K} by words that were not imported, default ef, milliseconds`,
    head: ['when', 'recalls', 'failed', 'p50', 'p99', 'max', 'recall@10'],
    rows: [
      row(
        'at rest, after the REST import',
        of(({ rest }) => rest.atRest),
        of(({ rest }) => rest.atRest),
      ),
      row(
        'at rest, after the NATS import',
        of(({ nats }) => nats.atRest),
        of(({ nats }) => nats.atRest),
      ),
      row(
        'importing, until searchable',
        of(({ mixed }) => mixed.beforeSearchable),
        undefined,
      ),
      row(
        'all searchable, until indexed',
        of(({ mixed }) => mixed.afterSearchable),
        of(({ mixed }) => mixed.fresh),
      ),
    ],
  };
}

function recallSpread(sets: Samples): string {
  const recalls = sets.flatMap((samples) => latencyOf(samples)?.recall ?? []);
  return formatSpread(recalls.filter(Number.isFinite), formatRecall);
}

/** Samples as the file keeps them: a tenth of a millisecond is finer than they repeat. */
function compact({ bare, rest, nats, mixed }: Repetition): object {
  const { beforeSearchable, afterSearchable, fresh } = mixed;
  const imported = (each: Imported): object => ({ ...each.times, atRest: listed(each.atRest) });
  return {
    bare,
    rest: imported(rest),
    nats: imported(nats),
    mixed: {
      ...imported(mixed),
      beforeSearchable: listed(beforeSearchable),
      afterSearchable: listed(afterSearchable),
      freshRecall: latencyOf(fresh)?.recall,
    },
  };
}
