// What this machine can do at most, with nothing of ours in between, and what of that a cluster does.

import { connect, headers, type JetStreamManager } from 'nats';
import { CONTENT_TYPES } from '@engram/codec';
import { startNatsServer } from '@engram/local-cluster';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@engram/local-cluster';
import { quantizationScale } from '@engram/vector-index';
import { CLOSED, clusterLoad, batchOf, type ClusterLoad } from '../cluster-load.ts';
import { bareInsertMs } from '../engine/bare-threads.ts';
import { framesOf, spaceOf } from '../engine/fixture.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatRate, formatRatio, formatRecall, formatSpread } from '../samples.ts';
import { clustered, words, type Vectors } from '../vectors.ts';

const ROWS = { words: 20_000, clustered: 5_000 };
const QUICK_ROWS = { words: 5_000, clustered: 4_500 };
const SPACES = 6;
const QUICK_SPACES = 2;
const THREADS = 2;
/** Publishes without an acknowledgement. */
const IN_FLIGHT = 64;
const PULL = 256;
const COPIES = 20;
const STREAM = 'BARE';

export const limits: Group = {
  name: 'limits',
  title: 'a cluster beside bare JetStream, bare native inserts and memcpy',
  run,
};

/** Observations a second. */
interface Sample {
  readonly memcpy: number;
  readonly published: number;
  readonly consumed: number;
  readonly graph1: number;
  readonly graph2: number;
  readonly cluster: ClusterLoad;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, signal, progress } = context;
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const sets = [await words(rows.words, signal), await clustered(rows.clustered, 768, signal)];
  const spaces = isQuick ? QUICK_SPACES : SPACES;
  const samples = sets.map((): Sample[] => []);
  for (let i = 0; i < repetitions; i++)
    for (const [at, vectors] of sets.entries()) {
      const tell = (what: string) =>
        progress(`${vectors.name}: ${what}, repetition ${i + 1} of ${repetitions}`);
      const batch = batchOf(vectors);
      tell('memcpy');
      const memcpy = copyRate(vectors);
      tell('JetStream');
      const log = await bareLog(context, vectors, batch, spaces);
      tell('native inserts');
      const graph1 = await bareGraphRate(vectors, 1);
      const graph2 = await bareGraphRate(vectors, THREADS);
      tell('a cluster');
      const cluster = await onFreshCluster(
        context,
        (fresh) => clusterLoad(fresh, { vectors, spaces, batch, pace: CLOSED }, signal),
        1,
      );
      samples[at]!.push({ memcpy, ...log, graph1, graph2, cluster });
    }
  return {
    tables: sets.map((vectors, at) => table(vectors, spaces, samples[at]!)),
    notes: [
      'a ratio divides by the limit of the same repetition; the limits use both cores for one thing, the cluster does all of it on the same two cores, and the load besides',
      `JetStream: one publisher with ${IN_FLIGHT} in flight into a file stream, then one consumer of all of it; native inserts: usearch, int8, rows quantised beforehand`,
      'recall@10 of the native loop is that of the cluster: the same engine with the same settings (see engines)',
    ],
    figures: sets.flatMap((vectors, at) => [
      {
        name: `accepted, of bare JetStream: ${vectors.name}`,
        unit: '×' as const,
        better: 'higher' as const,
        samples: samples[at]!.map(({ cluster, published }) => cluster.acceptedRate / published),
      },
      {
        name: `in graphs, of bare native inserts in ${THREADS} threads: ${vectors.name}`,
        unit: '×' as const,
        better: 'higher' as const,
        samples: samples[at]!.map(({ cluster, graph2 }) => cluster.graphRate / graph2),
      },
    ]),
    data: {
      spaces,
      sets: sets.map(({ name, count }, at) => ({ name, count, samples: samples[at] })),
    },
  };
}

function table(vectors: Vectors, spaces: number, samples: readonly Sample[]) {
  const bytes = vectors.dimension * 4;
  const row = (name: string, rate: (sample: Sample) => number, ours: (s: Sample) => number) => [
    name,
    formatSpread(samples.map(rate), formatRate),
    formatRate(((samples.reduce((sum, s) => sum + rate(s), 0) / samples.length) * bytes) / 1e6),
    formatSpread(
      samples.map((sample) => ours(sample) / rate(sample)),
      formatRatio,
    ),
  ];
  const accepted = ({ cluster }: Sample) => cluster.acceptedRate;
  const graphs = ({ cluster }: Sample) => cluster.graphRate;
  return {
    title: `${vectors.name}: ${spaces} × ${vectors.count} rows, recall@10 ${formatSpread(
      samples.map(({ cluster }) => cluster.recall),
      formatRecall,
    )}`,
    head: ['limit', 'observations/s', 'MB/s', 'the cluster, of it'],
    rows: [
      row('memcpy, one thread', ({ memcpy }) => memcpy, accepted),
      row('bare JetStream: published', ({ published }) => published, accepted),
      row('bare JetStream: consumed', ({ consumed }) => consumed, accepted),
      row('bare native inserts, one thread', ({ graph1 }) => graph1, graphs),
      row(`bare native inserts, ${THREADS} threads`, ({ graph2 }) => graph2, graphs),
      row('the cluster: accepted', accepted, accepted),
      row(
        'the cluster: searchable',
        ({ cluster }) => cluster.searchableRate,
        ({ cluster }) => cluster.searchableRate,
      ),
      row('the cluster: in graphs', graphs, graphs),
    ],
  };
}

/** Copies of the whole set into one buffer that is there already. */
function copyRate({ slab, count }: Vectors): number {
  const target = new Float32Array(slab.length);
  target.set(slab);
  const startedAt = performance.now();
  for (let i = 0; i < COPIES; i++) target.set(slab);
  return (count * COPIES * 1_000) / (performance.now() - startedAt);
}

async function bareGraphRate(vectors: Vectors, threads: number): Promise<number> {
  const { slab, count, dimension } = vectors;
  const options = spaceOf('bare', dimension);
  const scale = quantizationScale(slab, count, dimension, options.metric);
  return (count * 1_000) / (await bareInsertMs(vectors, threads, { options, scale }));
}

/** The same frames into a stream of a server of their own, and out of it again. */
async function bareLog(
  { servers }: GroupContext,
  vectors: Vectors,
  batch: number,
  spaces: number,
): Promise<Pick<Sample, 'published' | 'consumed'>> {
  const folder = await mkdtemp(join(tmpdir(), 'engram-bench-log-'));
  const server = await startNatsServer({
    dataDir: join(folder, 'nats'),
    logFile: join(folder, 'nats.log'),
    port: await freePort(),
    partitionCount: 1,
    binary: servers.nats,
  });
  try {
    const nats = await connect({ servers: server.url });
    try {
      const manager: JetStreamManager = await nats.jetstreamManager();
      await manager.streams.add({ name: STREAM, subjects: ['bare.>'] });
      const frames = framesOf(vectors, 0, vectors.count, batch).map(({ bytes }) => bytes);
      const total = frames.length * spaces;
      const head = headers();
      head.set('Content-Type', CONTENT_TYPES.frame);
      const stream = nats.jetstream();
      let next = 0;
      const publishing = async (): Promise<void> => {
        while (next < total) {
          const i = next++;
          await stream.publish(`bare.${i % spaces}`, frames[Math.floor(i / spaces)], {
            headers: head,
          });
        }
      };
      const startedAt = performance.now();
      await Promise.all(Array.from({ length: IN_FLIGHT }, publishing));
      const publishedAt = performance.now();
      const consumer = await stream.consumers.get(STREAM);
      const messages = await consumer.consume({ max_messages: PULL });
      let left = total;
      for await (const { data } of messages) {
        if (data.length === 0) throw new Error('an empty message');
        if (--left === 0) break;
      }
      const consumedAt = performance.now();
      const rate = (ms: number) => (vectors.count * spaces * 1_000) / ms;
      return {
        published: rate(publishedAt - startedAt),
        consumed: rate(consumedAt - publishedAt),
      };
    } finally {
      await nats.close();
    }
  } finally {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
