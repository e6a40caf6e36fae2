// End to end: HTTP client, gateway, JetStream and 1 to 4 shard processes, on each of the data sets.

import {
  CLOSED,
  clusterLoad,
  batchOf,
  BATCH_FLOATS,
  SENDERS,
  ROLES,
  type ClusterLoad,
} from '../cluster-load.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { clustered, sentences, words, type Vectors } from '../vectors.ts';

const SHARDS = [1, 2, 3, 4];
const QUICK_SHARDS = [1, 2];
const SPACES = 8;
/** In each space; enough for graphs, and for the run to last some seconds. */
const ROWS = { words: 20_000, sentences: 5_000, clustered: 5_000 } as const;
const QUICK_ROWS = { words: 5_000, clustered: 4_500 } as const;

export const scaling: Group = {
  name: 'scaling',
  title: 'end to end through gateway, JetStream and 1 to 4 shards, by data set',
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, signal, progress } = context;
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const sets = [
    await words(rows.words, signal),
    // Encoding takes some ten milliseconds each, the first time: too long for a quick run.
    ...(isQuick ? [] : [await sentences(ROWS.sentences, signal, progress)]),
    await clustered(rows.clustered, 768, signal),
  ];
  const shards = isQuick ? QUICK_SHARDS : SHARDS;
  const samples = sets.map(() => new Map<number, ClusterLoad[]>(shards.map((n) => [n, []])));
  for (let i = 0; i < repetitions; i++)
    for (const [at, vectors] of sets.entries())
      for (const count of shards) {
        progress(`${vectors.name}, ${count} shards, repetition ${i + 1} of ${repetitions}`);
        samples[at]!.get(count)!.push(await loaded(context, vectors, count));
      }
  return {
    tables: sets.map((vectors, at) => table(vectors, samples[at]!)),
    notes: [
      `${SENDERS} senders, each waits for the log; batches of ${BATCH_FLOATS.toLocaleString('en-US')} numbers at most; one gateway; all of it, and the load, on this machine's cores`,
      'CPU: of client, gateway, NATS, Redis and shards together until all was in graphs, for each observation',
      'of one: in graphs a second, of what one shard does. On a machine whose cores one shard keeps busy it cannot be more than 1',
    ],
    figures: sets.map((vectors, at) => ({
      name: `${shards.at(-1)} shards, of one: ${vectors.name}`,
      unit: '×' as const,
      better: 'higher' as const,
      samples: samples[at]!.get(shards.at(-1)!)!.map(
        ({ graphRate }, i) => graphRate / samples[at]!.get(1)![i]!.graphRate,
      ),
    })),
    data: {
      sets: sets.map(({ name, count, dimension }, at) => ({
        name,
        count,
        dimension,
        samples: Object.fromEntries(samples[at]!),
      })),
    },
  };
}

function loaded(context: GroupContext, vectors: Vectors, shards: number): Promise<ClusterLoad> {
  const batch = batchOf(vectors);
  return onFreshCluster(
    context,
    (fresh) => clusterLoad(fresh, { vectors, spaces: SPACES, batch, pace: CLOSED }, context.signal),
    shards,
  );
}

function table(vectors: Vectors, samples: ReadonlyMap<number, readonly ClusterLoad[]>) {
  const one = samples.get(1)!;
  const of = (loads: readonly ClusterLoad[], value: (load: ClusterLoad) => number) =>
    loads.map(value);
  return {
    title: `${vectors.name}: ${SPACES} spaces of ${vectors.count} rows`,
    head: [
      'shards',
      'accepted/s',
      'searchable/s',
      'in graphs/s',
      'of one',
      'CPU µs each',
      `cores: ${ROLES.join(', ')}`,
      'fresh p50 ms',
      'fresh p99 ms',
      'recall@10',
    ],
    rows: [...samples].map(([count, loads]) => [
      String(count),
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
        loads.map(({ graphRate }, i) => graphRate / one[i]!.graphRate),
        formatRatio,
      ),
      formatSpread(
        of(loads, (load) => load.cpuUs),
        (us) => us.toFixed(1),
      ),
      ROLES.map((role) => loads.at(-1)!.cores[role].toFixed(2)).join(' '),
      formatSpread(
        of(loads, (load) => load.freshP50Ms),
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
  };
}
