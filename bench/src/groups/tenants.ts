// What the tenants of a cluster notice of one among them that sends ten times its share.

import { setTimeout as pause } from 'node:timers/promises';
import { WORD_DIMENSION } from '@engram/demo';
import { bodiesOf } from '../bodies.ts';
import { loadDataset } from '../dataset.ts';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRatio, percentile } from '../samples.ts';
import { writeLoad, type WriteTally } from '../write-load.ts';

const NOISY = 'noisy';
const QUIET = [
  'quiet-a',
  'quiet-b',
  'quiet-c',
  'quiet-d',
  'quiet-e',
  'quiet-f',
  'quiet-g',
  'quiet-h',
];
/** Observations a second that each may write where there is a limit. */
const SHARE = 4_000;
const FACTOR = 10;
const QUIET_BATCH = 50;
const QUIET_BATCHES_PER_SECOND = 40; // of all of them: 250 observations a second each
const NOISY_BATCH = 250;
const SECONDS = 30;
const QUICK_SECONDS = 3;
const WARM_UP_MS = 2_000;

export const tenants: Group = {
  name: 'tenants',
  title: `one of nine tenants sends ${FACTOR} times its share`,
  run,
};

interface Side {
  readonly alone: WriteTally;
  readonly beside: WriteTally;
  readonly noisy: WriteTally;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, words, progress, signal } = context;
  const repetitions = 1; // of two minutes
  const dataset = await loadDataset(Math.min(words, 5_000), signal);
  const bodies = {
    quiet: bodiesOf(dataset.words, QUIET_BATCH),
    noisy: bodiesOf(dataset.words, NOISY_BATCH),
  };
  const durationMs = (isQuick ? QUICK_SECONDS : SECONDS) * 1_000;
  const measure = async (fresh: FreshCluster, what: string): Promise<Side> => {
    for (const space of [NOISY, ...QUIET])
      await fresh.client.createSpace(space, { dimension: WORD_DIMENSION }, { signal });
    const quiet = (ms: number): Promise<WriteTally> =>
      writeLoad(
        {
          url: fresh.url,
          durationMs: ms,
          observationsPerBody: QUIET_BATCH,
          bodies: bodies.quiet,
          spaces: QUIET,
          lane: 'normal',
          ack: 'searchable',
          pace: { kind: 'open', perSecond: QUIET_BATCHES_PER_SECOND, outstandingMax: 400 },
        },
        signal,
      );
    await quiet(WARM_UP_MS);
    progress(`${what}: without the noisy one`);
    const alone = await quiet(durationMs);
    progress(`${what}: beside it`);
    const noisy = writeLoad(
      {
        url: fresh.url,
        durationMs: durationMs + WARM_UP_MS,
        observationsPerBody: NOISY_BATCH,
        bodies: bodies.noisy,
        spaces: [NOISY],
        lane: 'normal',
        ack: 'logged',
        pace: { kind: 'open', perSecond: (SHARE * FACTOR) / NOISY_BATCH, outstandingMax: 100 },
      },
      signal,
    );
    await pause(WARM_UP_MS, undefined, { signal });
    const beside = await quiet(durationMs);
    return { alone, beside, noisy: await noisy };
  };
  const limited: Side[] = [];
  const free: Side[] = [];
  const env = { ENGRAM_SPACE_OBSERVATIONS_PER_S: String(SHARE) };
  for (let i = 0; i < repetitions; i++) {
    limited.push(
      await onFreshCluster(context, (fresh) => measure(fresh, 'with limits'), undefined, env),
    );
    free.push(await onFreshCluster(context, (fresh) => measure(fresh, 'without limits')));
  }
  const rows = [
    ...limited.map((side) => rowOf(`at most ${formatRate(SHARE)} a second each`, side)),
    ...free.map((side) => rowOf('no limits: fair shares alone', side)),
  ];
  return {
    tables: [
      {
        title: 'the eight others',
        head: [
          'limits',
          'alone p50 ms',
          'p99 ms',
          'beside it p50 ms',
          'p99 ms',
          'p99 / alone',
          'refused',
          'noisy: offered/s',
          'accepted/s',
          'refused',
        ],
        rows,
      },
    ],
    notes: [
      `each of the eight writes ${(QUIET_BATCHES_PER_SECOND * QUIET_BATCH) / QUIET.length} observations a second in batches of ${QUIET_BATCH}, ack=searchable, an open loop: what waits is counted from when it was due; the noisy one sends batches of ${NOISY_BATCH} whatever is answered`,
      '1 gateway, 2 shards, the load in the same machine',
    ],
    figures: [
      {
        name: 'p99 beside a noisy tenant, of alone, with limits',
        unit: '×',
        better: 'lower',
        samples: limited.map(p99Ratio),
      },
      {
        name: 'the same without limits',
        unit: '×',
        better: 'lower',
        samples: free.map(p99Ratio),
      },
    ],
    data: { limited: limited.map(dataOf), free: free.map(dataOf) },
  };
}

function p99Ratio({ alone, beside }: Side): number {
  return percentile(beside.latenciesMs, 99) / percentile(alone.latenciesMs, 99);
}

function rowOf(name: string, { alone, beside, noisy }: Side): string[] {
  const p99 = (tally: WriteTally) => percentile(tally.latenciesMs, 99);
  const offered = ((noisy.sent + noisy.notSent) * NOISY_BATCH * 1_000) / noisy.elapsedMs;
  return [
    name,
    formatMs(percentile(alone.latenciesMs, 50)),
    formatMs(p99(alone)),
    formatMs(percentile(beside.latenciesMs, 50)),
    formatMs(p99(beside)),
    formatRatio(p99(beside) / p99(alone)),
    `${beside.sent - beside.accepted} of ${beside.sent}`,
    formatRate(offered),
    formatRate((noisy.acceptedObservations / noisy.elapsedMs) * 1_000),
    `${noisy.sent - noisy.accepted} of ${noisy.sent}${noisy.notSent > 0 ? `, ${noisy.notSent} not sent` : ''}`,
  ];
}

function dataOf(side: Side): object {
  return Object.fromEntries(
    Object.entries(side).map(([name, { latenciesMs, ...tally }]: [string, WriteTally]) => [
      name,
      {
        ...tally,
        latencyMs: Object.fromEntries(
          [50, 90, 99, 100].map((share) => [`p${share}`, percentile(latenciesMs, share)]),
        ),
      },
    ]),
  );
}
