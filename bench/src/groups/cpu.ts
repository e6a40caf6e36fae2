// The reference's "CPU Profiling": where the processor's time goes while a cluster takes what it can.

import { CLOSED, clusterLoad, batchOf, pidsOf, type ClusterLoad } from '../cluster-load.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { flameGraph } from '../profile/flame-graph.ts';
import { CATEGORIES, hotspotsOf } from '../profile/hotspots.ts';
import {
  inScratchFolder,
  perfFault,
  PERF_ENVIRONMENT,
  recorded,
  type Stack,
} from '../profile/perf.ts';
import { formatRate, formatRecall } from '../samples.ts';
import { clustered, words, type Vectors } from '../vectors.ts';

const ROWS = { words: 20_000, clustered: 5_000 };
const QUICK_ROWS = { words: 5_000, clustered: 4_500 };
const SPACES = 6;
const QUICK_SPACES = 3;
const TOP = 15;

export const cpu: Group = {
  name: 'cpu',
  title: 'where the processor’s time goes while a cluster takes what it can',
  run,
};

interface Profiled {
  readonly vectors: Vectors;
  readonly load: ClusterLoad;
  readonly stacks: readonly Stack[];
  readonly roles: ReadonlyMap<number, string>;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, signal, progress } = context;
  const fault = await perfFault();
  if (fault !== undefined) {
    const rows = [['absent', fault]];
    return { tables: [{ title: 'profile', head: ['', 'why'], rows }], notes: [], data: { fault } };
  }
  const rows = isQuick ? QUICK_ROWS : ROWS;
  const sets = [await words(rows.words, signal), await clustered(rows.clustered, 768, signal)];
  const profiles: Profiled[] = [];
  for (const vectors of sets) {
    progress(vectors.name);
    profiles.push(await inScratchFolder(() => profiled(context, vectors)));
  }
  return report(profiles);
}

function profiled(context: GroupContext, vectors: Vectors): Promise<Profiled> {
  const spaces = context.isQuick ? QUICK_SPACES : SPACES;
  const batch = batchOf(vectors);
  return onFreshCluster(
    context,
    async (fresh) => {
      const roles = new Map<number, string>();
      for (const [role, pids] of Object.entries(pidsOf(fresh)))
        for (const pid of pids) roles.set(pid, role);
      const { stacks, result } = await recorded([...roles.keys()], () =>
        clusterLoad(fresh, { vectors, spaces, batch, pace: CLOSED }, context.signal),
      );
      return { vectors, load: result, stacks, roles };
    },
    1,
    PERF_ENVIRONMENT,
  );
}

function report(profiles: readonly Profiled[]): GroupReport {
  const found = profiles.map(({ stacks, roles }) => {
    const roleOf = (pid: number): string => roles.get(pid) ?? 'other';
    return { ...hotspotsOf(stacks, roleOf), svg: flameGraph(stacks, roleOf) };
  });
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  return {
    tables: [
      {
        title:
          'shares of the processor time of gateway, NATS, Redis and one shard, until all was in graphs',
        head: ['what', ...profiles.map(({ vectors }) => vectors.name)],
        rows: [
          ...CATEGORIES.map((category) => [
            category,
            ...found.map(({ shares }) => percent(shares.get(category)!)),
          ]),
          ['samples', ...profiles.map(({ stacks }) => formatRate(stacks.length))],
          ['in graphs/s', ...profiles.map(({ load }) => formatRate(load.graphRate))],
          ['recall@10', ...profiles.map(({ load }) => formatRecall(load.recall))],
        ],
      },
      ...profiles.map(({ vectors }, at) => ({
        title: `hotspots, ${vectors.name}`,
        head: ['function', 'share', 'of'],
        rows: found[at]!.hotspots.slice(0, TOP).map(({ name, category, share }) => [
          name,
          percent(share),
          category,
        ]),
      })),
    ],
    notes: [
      'by perf, 199 samples a second of each thread that runs; shares by the innermost frame that is of something above, so that a builtin of V8 is of what called it; hotspots by the innermost function',
      'usearch names its own functions and not those of its distance kernels: what has no name there is told apart by where it stands in the file',
      'the flame graphs stand in the report (--report), and of a full run in bench/results/cpu-1.svg and cpu-2.svg',
    ],
    pictures: found.map(({ svg }, at) => ({
      name: `cpu-${at + 1}`,
      title: `flame graph, ${profiles[at]!.vectors.name}`,
      svg,
    })),
    data: {
      profiles: profiles.map(({ vectors, load, stacks }, at) => ({
        name: vectors.name,
        load,
        samples: stacks.length,
        shares: Object.fromEntries(found[at]!.shares),
        hotspots: found[at]!.hotspots.slice(0, 2 * TOP),
      })),
    },
  };
}
