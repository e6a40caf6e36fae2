// What recalls of a space meet while the shard that answers them is killed, by the number of copies.

import { setTimeout as pause } from 'node:timers/promises';
import { WORD_DIMENSION } from '@engram/demo';
import { K, loadDataset, type Dataset } from '../dataset.ts';
import { onFreshCluster, settled, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { runImport, SPACE, writeByRest } from '../import.ts';
import { latencyOf, listed } from '../latency.ts';
import { RecallLoad, type RecallSample } from '../recall-load.ts';
import { formatMs, formatRate, formatRecall } from '../samples.ts';

const COPIES = [1, 2] as const;
const SHARDS = 3;
const RECALLS_PER_SECOND = 100;
/** Before the kill, and after everything is served again. */
const QUIET_MS = 2_000;

export const failover: Group = {
  name: 'failover',
  title: 'recalls while the shard that answers them is killed, with one copy and with two',
  run,
};

type Samples = ReadonlyMap<number, RecallSample[]>;

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, words, repetitions, progress, signal } = context;
  const count = isQuick ? Math.min(words, 5_000) : words;
  const dataset = await loadDataset(count, signal);
  const samples: Samples = new Map(COPIES.map((copies) => [copies, []]));
  for (let i = 0; i < repetitions; i++)
    for (const copies of COPIES) {
      progress(`${copies} of each partition, ${i + 1} of ${repetitions}`);
      const its = await onFreshCluster(
        context,
        (fresh) => killedUnderRecalls(fresh, dataset, signal),
        SHARDS,
        { ENGRAM_REPLICATION: String(copies) },
      );
      samples.get(copies)!.push(...its);
    }
  return report(count, samples);
}

async function killedUnderRecalls(
  fresh: FreshCluster,
  dataset: Dataset,
  signal: AbortSignal,
): Promise<readonly RecallSample[]> {
  const { client, cluster, url } = fresh;
  await client.createSpace(SPACE, { dimension: WORD_DIMENSION }, { signal });
  await runImport(fresh, dataset.words, writeByRest, signal);
  const { queries, nearest } = dataset;
  const load = { url, space: SPACE, queries, nearest, k: K, perSecond: RECALLS_PER_SECOND };
  await using recalls = new RecallLoad(load);
  await pause(QUIET_MS, undefined, { signal });
  const { shards } = await client.recall(SPACE, { embedding: queries[0]!, k: K }, { signal });
  cluster.shards.find(({ id }) => shards.ids.includes(id))!.signal('SIGKILL');
  await settled(url, SHARDS - 1, signal);
  await pause(QUIET_MS, undefined, { signal });
  return await recalls.finish(signal);
}

function report(count: number, samples: Samples): GroupReport {
  return {
    tables: [
      {
        title: `${count} words in one space on ${SHARDS} shards, the one that answers is killed`,
        head: ['copies', 'recalls', 'failing', 'recall@10', 'p50 ms', 'p99 ms', 'worst ms'],
        rows: [...samples].map(([copies, its]) => {
          const latency = latencyOf(its)!;
          return [
            String(copies),
            formatRate(latency.count),
            formatRate(latency.failed),
            formatRecall(latency.recall),
            ...[latency.p50Ms, latency.p99Ms, latency.maxMs].map(formatMs),
          ];
        }),
      },
    ],
    notes: [
      'failing: an error, or an answer that calls itself degraded; the client tries none again',
      `an open loop of ${RECALLS_PER_SECOND} recalls a second: what waits is counted from when it was due`,
    ],
    figures: [...samples].map(([copies, its]) => ({
      name: `recalls that failed, ${copies} copies`,
      unit: 'share' as const,
      better: 'lower' as const,
      samples: [latencyOf(its)!.failed / latencyOf(its)!.count],
    })),
    data: {
      count,
      byCopies: Object.fromEntries([...samples].map(([copies, its]) => [copies, listed(its)])),
    },
  };
}
