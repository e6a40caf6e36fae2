// How fast observations come into a cluster, against a bare loop of the same graph's inserts.
//
// One repetition is: bare loop, REST import, NATS import, REST import under recalls. Each import has
// a new cluster, and nothing runs beside the bare loop: on two cores they would measure each other.

import { WORD_DIMENSION } from '@engram/demo';
import { asArrays, BareGraph, EF_DEFAULT } from '../bare-graph.ts';
import { K, loadDataset, type Dataset } from '../dataset.ts';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { runImport, SPACE, writeByNats, writeByRest } from '../import.ts';
import { reportIngest, type Imported, type Mixed, type Repetition } from '../ingest-report.ts';
import { RecallLoad, type RecallLoadOptions, type RecallSample } from '../recall-load.ts';

/** Well below what a gateway and a shard on two cores can answer: the queue is not the subject. */
const RECALLS_PER_SECOND = 50;
const QUICK_RECALLS = 100;

export const ingest: Group = {
  name: 'ingest',
  title: `import into a cluster, against a bare loop of hnswlib inserts`,
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { words, signal, progress } = context;
  progress(`reading ${words} words`);
  const dataset = await loadDataset(words, signal);
  const repetitions: Repetition[] = [];
  for (let index = 0; index < context.repetitions; index++) {
    const tell = (what: string): void =>
      progress(`${what}, repetition ${index + 1} of ${context.repetitions}`);
    tell('bare loop');
    const bare = await bareLoop(dataset, signal);
    tell('REST import');
    const rest = await onCluster(context, dataset, writeByRest);
    tell('NATS import');
    const nats = await onCluster(context, dataset, writeByNats);
    tell('REST import under recalls');
    const mixed = await onClusterUnderRecalls(context, dataset);
    repetitions.push({ bare, rest, nats, mixed });
  }
  return reportIngest(words, RECALLS_PER_SECOND, repetitions);
}

async function bareLoop(dataset: Dataset, signal: AbortSignal): Promise<Repetition['bare']> {
  const arrays = asArrays(dataset.words);
  const graph = new BareGraph(arrays.length);
  const tookMs = await graph.put(arrays, 0, signal);
  return { tookMs, recall: graph.measureRecall(dataset, EF_DEFAULT).recall };
}

function onCluster(
  context: GroupContext,
  dataset: Dataset,
  write: typeof writeByRest,
): Promise<Imported> {
  const { signal } = context;
  return onFreshCluster(context, async (cluster) => {
    await createSpace(cluster, signal);
    const times = await runImport(cluster, dataset.words, write, signal);
    return { times, atRest: await recallAtRest(context, cluster, dataset) };
  });
}

function onClusterUnderRecalls(context: GroupContext, dataset: Dataset): Promise<Mixed> {
  const { signal } = context;
  return onFreshCluster(context, async (cluster) => {
    await createSpace(cluster, signal);
    await using load = new RecallLoad(loadOptions(cluster, dataset));
    let searchableAtMs = Infinity;
    const times = await runImport(cluster, dataset.words, writeByRest, signal, (atMs) => {
      searchableAtMs = atMs;
    });
    const indexedAtMs = performance.timeOrigin + performance.now();
    const all = await load.finish(signal);
    const during = all.filter(({ intendedAtMs }) => intendedAtMs <= indexedAtMs);
    const isFresh = ({ intendedAtMs, latencyMs }: RecallSample): boolean =>
      intendedAtMs >= searchableAtMs && intendedAtMs + latencyMs <= indexedAtMs;
    return {
      times,
      beforeSearchable: during.filter(({ intendedAtMs }) => intendedAtMs < searchableAtMs),
      afterSearchable: during.filter(({ intendedAtMs }) => intendedAtMs >= searchableAtMs),
      fresh: during.filter(isFresh),
      atRest: await recallAtRest(context, cluster, dataset),
    };
  });
}

async function recallAtRest(
  { isQuick, signal }: GroupContext,
  cluster: FreshCluster,
  dataset: Dataset,
): Promise<readonly RecallSample[]> {
  const count = isQuick ? QUICK_RECALLS : dataset.queries.length;
  await using load = new RecallLoad(loadOptions(cluster, dataset, count));
  return await load.whenDone(signal);
}

async function createSpace({ client }: FreshCluster, signal: AbortSignal): Promise<void> {
  await client.createSpace(SPACE, { dimension: WORD_DIMENSION }, { signal });
}

function loadOptions(
  { url }: FreshCluster,
  { queries, nearest }: Dataset,
  count?: number,
): RecallLoadOptions {
  const options = { url, space: SPACE, queries, nearest, k: K, perSecond: RECALLS_PER_SECOND };
  return count === undefined ? options : { ...options, count };
}
