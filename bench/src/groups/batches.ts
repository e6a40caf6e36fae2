// The reference's "Batch Size Tuning": how many observations clients send at a time.

import { CLOSED, clusterLoad, SENDERS, type ClusterLoad } from '../cluster-load.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRecall, formatSpread } from '../samples.ts';
import { words } from '../vectors.ts';

const SIZES = [10, 50, 100, 250, 500];
const QUICK_SIZES = [10, 250];
const SPACES = 4;
const ROWS = 20_000;
const QUICK_ROWS = 5_000;

export const batches: Group = {
  name: 'batches',
  title: 'observations that clients send at a time',
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, signal, progress } = context;
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const sizes = isQuick ? QUICK_SIZES : SIZES;
  const samples = new Map<number, ClusterLoad[]>(sizes.map((size) => [size, []]));
  for (let i = 0; i < repetitions; i++)
    for (const [batch, loads] of samples) {
      progress(`${batch} a batch, repetition ${i + 1} of ${repetitions}`);
      loads.push(
        await onFreshCluster(context, (fresh) =>
          clusterLoad(fresh, { vectors, spaces: SPACES, batch, pace: CLOSED }, signal),
        ),
      );
    }
  const of = (loads: readonly ClusterLoad[], value: (load: ClusterLoad) => number) =>
    loads.map(value);
  const [smallest, largest] = [samples.get(sizes[0]!)!, samples.get(sizes.at(-1)!)!];
  return {
    tables: [
      {
        title: `${SPACES} × ${vectors.count} rows of ${vectors.name} over HTTP, ${SENDERS} senders, each waits for the log`,
        head: [
          'batch',
          'accepted/s',
          'searchable/s',
          'in graphs/s',
          'CPU µs each',
          'ack p50 ms',
          'ack p99 ms',
          'fresh p99 ms',
          'recall@10',
        ],
        rows: [...samples].map(([size, loads]) => [
          String(size),
          formatSpread(
            of(loads, (load) => load.acceptedRate),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.searchableRate),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.graphRate),
            formatRate,
          ),
          formatSpread(
            of(loads, (load) => load.cpuUs),
            (us) => us.toFixed(1),
          ),
          formatSpread(
            of(loads, (load) => load.ackP50Ms),
            formatMs,
          ),
          formatSpread(
            of(loads, (load) => load.ackP99Ms),
            formatMs,
          ),
          formatSpread(
            of(loads, (load) => load.freshP99Ms),
            formatMs,
          ),
          formatSpread(
            loads.map(({ recall }) => recall),
            formatRecall,
          ),
        ]),
      },
    ],
    notes: [
      'a batch is one frame of at most 256 KiB, 600 rows of 100 dimensions; what is larger the SDK cuts, so there is no row for 1,000',
      'CPU: of client, gateway, NATS, Redis and shards together until all was in graphs, for each observation',
      'fresh p99: of 20 single writes a second beside it, from when each was due until a recall sees it',
    ],
    figures: [
      {
        name: `CPU of an observation in batches of ${sizes[0]}, of ${sizes.at(-1)}`,
        unit: '×',
        better: 'lower',
        samples: smallest.map(({ cpuUs }, i) => cpuUs / largest[i]!.cpuUs),
      },
    ],
    data: { rows: vectors.count, spaces: SPACES, samples: Object.fromEntries(samples) },
  };
}
