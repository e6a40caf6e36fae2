// What is accepted, found and lost while three times as much is offered as the cluster can take.

import { setTimeout as pause } from 'node:timers/promises';
import { WORD_DIMENSION } from '@engram/demo';
import { connect } from 'nats';
import { bodiesOf } from '../bodies.ts';
import { K, loadDataset, type Dataset } from '../dataset.ts';
import { applied, onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { runImport, SPACE, writeByRest } from '../import.ts';
import { latencyOf } from '../latency.ts';
import { RecallLoad, type RecallSample } from '../recall-load.ts';
import { formatMs, formatRate, formatRatio, mean, percentile } from '../samples.ts';
import { writeLoad, type Pace, type WriteLoadOptions, type WriteTally } from '../write-load.ts';

const BATCH = 250;
const SPACES = ['tenant-a', 'tenant-b', 'tenant-c', 'tenant-d', 'tenant-e', 'tenant-f'];
/** Where the probes of the lane high go: beside the load, on the same shards. */
const PROBED = ['urgent-a', 'urgent-b'];
const RECALLS_PER_SECOND = 20;
const PROBES_PER_SECOND = 20;
const SENDERS = 8;
const FACTOR = 3;
const SECONDS = { rest: 30, capacity: 30, overload: 120, obeying: 30 };
const QUICK_SECONDS = { rest: 3, capacity: 4, overload: 8, obeying: 4 };
const STATUS_MS = 500;

export const overload: Group = {
  name: 'overload',
  title: `${FACTOR} times as much is offered as the cluster can take`,
  run,
};

/** What was seen beside one load. */
interface Phase {
  readonly load: WriteTally | undefined;
  readonly recalls: readonly RecallSample[];
  readonly probes: WriteTally;
  readonly privateBytesMax: number;
}

interface Run {
  readonly rest: Phase;
  readonly capacity: Phase;
  readonly overload: Phase;
  readonly obeying: Phase;
  /** Ids that differ from the log once everything was applied. */
  readonly differing: number;
  /** That the log got meanwhile, also those that were trimmed since. */
  readonly entries: number;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, words, progress, signal } = context;
  const repetitions = 1; // of four minutes
  const dataset = await loadDataset(isQuick ? Math.min(words, 4_500) : words, signal);
  const bodies = bodiesOf(dataset.words, BATCH);
  const runs: Run[] = [];
  for (let i = 0; i < repetitions; i++)
    runs.push(
      await onFreshCluster(context, (fresh) =>
        measure(fresh, dataset, bodies, {
          signal,
          seconds: isQuick ? QUICK_SECONDS : SECONDS,
          progress: (what) => progress(`${what}, ${i + 1} of ${repetitions}`),
        }),
      ),
    );
  return report(runs);
}

interface Measuring {
  readonly signal: AbortSignal;
  readonly seconds: typeof SECONDS;
  readonly progress: (what: string) => void;
}

async function measure(
  fresh: FreshCluster,
  dataset: Dataset,
  bodies: readonly Uint8Array[],
  { signal, seconds, progress }: Measuring,
): Promise<Run> {
  const { client } = fresh;
  for (const space of [SPACE, ...SPACES, ...PROBED])
    await client.createSpace(space, { dimension: WORD_DIMENSION }, { signal });
  await runImport(fresh, dataset.words, writeByRest, signal);
  const entriesBefore = await logged(fresh);
  const probe = bodiesOf(dataset.words.slice(0, 200), 1);
  const phase = (length: number, pace?: Pace): Promise<Phase> =>
    beside(fresh, dataset, probe, length * 1_000, signal, pace && { bodies, pace });

  progress('at rest');
  const rest = await phase(seconds.rest);
  progress('at capacity');
  const closed = { kind: 'closed', senders: SENDERS, obeys: 'seconds' } as const;
  const capacity = await phase(seconds.capacity, closed);
  await applied(client, signal);
  const batchesPerSecond = perSecond(capacity.load!) / BATCH;
  progress(`${FACTOR} × ${formatRate(perSecond(capacity.load!))} observations a second`);
  const open = { kind: 'open', perSecond: batchesPerSecond * FACTOR, outstandingMax: 200 } as const;
  const overloaded = await phase(seconds.overload, open);
  await applied(client, signal);
  progress('clients that obey Retry-After');
  const obeying = await phase(seconds.obeying, { ...closed, senders: 2 * SENDERS });
  await applied(client, signal);
  progress('verifying');
  let differing = 0;
  const entries = (await logged(fresh)) - entriesBefore;
  for (const space of [...SPACES, ...PROBED]) {
    const verified = await client.verify(space, { signal });
    const { missing, extra, stale } = verified.totals;
    differing += missing + extra + stale;
  }
  return { rest, capacity, overload: overloaded, obeying, differing, entries };
}

/** One load, with recalls of a space at rest and probes of the lane high beside it. */
async function beside(
  { client, url }: FreshCluster,
  { queries, nearest }: Dataset,
  probe: readonly Uint8Array[],
  durationMs: number,
  signal: AbortSignal,
  writes: Pick<WriteLoadOptions, 'bodies' | 'pace'> | undefined,
): Promise<Phase> {
  const common = { url, durationMs, observationsPerBody: BATCH } as const;
  await using recalls = new RecallLoad({
    url,
    space: SPACE,
    queries,
    nearest,
    k: K,
    perSecond: RECALLS_PER_SECOND,
  });
  const load = writes && writeLoad({ ...common, ...writes, ...OF_LOAD, spaces: SPACES }, signal);
  const probes = writeLoad(
    {
      ...common,
      lane: 'high',
      ack: 'searchable',
      spaces: PROBED,
      bodies: probe,
      observationsPerBody: 1,
      pace: { kind: 'open', perSecond: PROBES_PER_SECOND, outstandingMax: 1_000 },
    },
    signal,
  );
  let privateBytesMax = 0;
  const isDone = new AbortController();
  const watching = (async () => {
    while (!isDone.signal.aborted) {
      const { members } = await client.cluster({ signal });
      for (const member of members)
        privateBytesMax = Math.max(privateBytesMax, member.privateBytes ?? 0);
      await pause(STATUS_MS, undefined, { signal });
    }
  })();
  try {
    const tallies = { load: await load, probes: await probes };
    isDone.abort();
    await watching;
    return { ...tallies, recalls: await recalls.finish(signal), privateBytesMax };
  } finally {
    isDone.abort();
    await watching.catch(() => undefined);
  }
}

const OF_LOAD = { lane: 'normal', ack: 'logged' } as const;

/** Entries that the log has stored since there is one. A batch of these is one entry. */
async function logged({ natsUrl }: FreshCluster): Promise<number> {
  const nats = await connect({ servers: natsUrl });
  try {
    const jsm = await nats.jetstreamManager();
    let entries = 0;
    for await (const { config, state } of jsm.streams.list())
      if (config.name.startsWith('OBS-')) entries += state.last_seq;
    return entries;
  } finally {
    await nats.close();
  }
}

function perSecond({ acceptedObservations, elapsedMs }: WriteTally): number {
  return (acceptedObservations / elapsedMs) * 1_000;
}

const PHASES = ['rest', 'capacity', 'overload', 'obeying'] as const;
const NAMES = {
  rest: 'at rest',
  capacity: `${SENDERS} senders, each waits for its answer and for Retry-After`,
  overload: `${FACTOR} times that, whatever is answered`,
  obeying: `${2 * SENDERS} senders that obey Retry-After`,
} as const;

function report(runs: readonly Run[]): GroupReport {
  const tables = runs.map((each, index) => ({
    title: runs.length === 1 ? 'phases' : `phases, run ${index + 1}`,
    head: [
      'load',
      'offered/s',
      'accepted/s',
      'refused',
      'no Retry-After',
      'recall p99 ms',
      'failed',
      'high p50 ms',
      'high p99 ms',
      'high refused',
      'private MiB',
    ],
    rows: PHASES.map((name) => rowOf(NAMES[name], each[name])),
  }));
  const ratios = runs.map((each) => {
    const lost = Math.max(0, acceptedBatches(each) - each.entries);
    return [
      String(lost),
      String(each.differing),
      formatRatio(perSecond(each.overload.load!) / perSecond(each.capacity.load!)),
      formatRatio(latencyOf(each.overload.recalls)!.p99Ms / latencyOf(each.rest.recalls)!.p99Ms),
      formatRatio(high(each.overload, 99) / high(each.rest, 99)),
      `${(refusedShare(each.obeying.load!) * 100).toFixed(1)} %`,
    ];
  });
  return {
    tables: [
      ...tables,
      {
        title: 'overload against rest and capacity',
        head: [
          'accepted batches not in the log',
          'ids that differ from it',
          'accepted / capacity',
          'recall p99 / rest',
          'high p99 / rest',
          'obeying clients refused',
        ],
        rows: ratios,
      },
    ],
    notes: [
      `batches of ${BATCH} words as binary frames to ${SPACES.length} spaces in the lane normal, ack=logged; 1 gateway, 2 shards, the load in the same machine`,
      `beside each load ${RECALLS_PER_SECOND} recalls a second of another space, and ${PROBES_PER_SECOND} single writes a second in the lane high with ack=searchable, both open loops: what waits is counted from when it was due`,
    ],
    figures: [
      {
        name: 'accepted under overload, of capacity',
        unit: '×',
        better: 'higher',
        samples: runs.map(
          (each) => perSecond(each.overload.load!) / perSecond(each.capacity.load!),
        ),
      },
    ],
    data: { runs: runs.map(dataOf) },
  };
}

function rowOf(name: string, { load, recalls, probes, privateBytesMax }: Phase): string[] {
  const latency = latencyOf(recalls);
  const offered =
    load === undefined ? 0 : ((load.sent + load.notSent) * BATCH * 1_000) / load.elapsedMs;
  return [
    name,
    formatRate(offered),
    load === undefined ? '–' : formatRate(perSecond(load)),
    load === undefined ? '–' : refusals(load),
    String((load?.refusedWithoutRetryAfter ?? 0) + probes.refusedWithoutRetryAfter),
    latency === undefined ? '–' : formatMs(latency.p99Ms),
    String(latency?.failed ?? 0),
    formatMs(percentile(probes.latenciesMs, 50)),
    formatMs(percentile(probes.latenciesMs, 99)),
    `${probes.sent - probes.accepted} of ${probes.sent}`,
    formatRate(privateBytesMax / 2 ** 20),
  ];
}

function refusals({ refused, sent, notSent }: WriteTally): string {
  const list = Object.entries(refused).map(([status, count]) => `${count} × ${status}`);
  return `${list.join(', ') || '0'} of ${sent}${notSent > 0 ? `, ${notSent} not sent` : ''}`;
}

function refusedShare({ refused, sent }: WriteTally): number {
  return Object.values(refused).reduce((sum, count) => sum + count, 0) / sent;
}

function acceptedBatches(each: Run): number {
  return PHASES.reduce(
    (sum, name) => sum + (each[name].load?.accepted ?? 0) + each[name].probes.accepted,
    0,
  );
}

function high({ probes }: Phase, share: number): number {
  return percentile(probes.latenciesMs, share);
}

function dataOf(each: Run): object {
  const phases = PHASES.map((name) => {
    const { load, recalls, probes, privateBytesMax } = each[name];
    const { latenciesMs: _, ...tally } = load ?? { latenciesMs: [] };
    return [
      name,
      {
        load: load === undefined ? undefined : { ...tally, ackMeanMs: mean(load.latenciesMs) },
        recalls: latencyOf(recalls),
        highMs: [50, 90, 99, 100].map((share) => percentile(probes.latenciesMs, share)),
        privateBytesMax,
      },
    ] as const;
  });
  return { ...Object.fromEntries(phases), differing: each.differing, entries: each.entries };
}
