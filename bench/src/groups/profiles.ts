// The reference's "Configuration Profiles": what each of the four does on this machine, beside what is said of it.

import { CLOSED, clusterLoad, SENDERS, type ClusterLoad } from '../cluster-load.ts';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRecall, formatSpread } from '../samples.ts';
import { words } from '../vectors.ts';

/** The reference's claims, of a machine of eight cores that is not said more of. */
const CLAIMS = {
  production: '100,000/s, p99 50 ms',
  'low-latency': '60,000/s, p99 < 10 ms',
  'high-throughput': '> 150,000/s, p99 200 ms, 4 GB',
  'resource-constrained': '40,000/s, < 1 GB',
} as const;
type Profile = keyof typeof CLAIMS;
const PROFILES = Object.keys(CLAIMS) as readonly Profile[];

const SPACES = 6;
const QUICK_SPACES = 2;
const ROWS = 20_000;
const QUICK_ROWS = 5_000;
const BATCH = 250;
const SECONDS = 6;
const QUICK_SECONDS = 2;
const HALF = 0.5;
const MIB = 2 ** 20;

export const profiles: Group = {
  name: 'profiles',
  title: 'the four profiles, beside what the reference says of them',
  run,
};

interface Sample {
  /** As much as they take. */
  readonly full: ClusterLoad;
  /** Half of that, at a fixed rate. */
  readonly half: ClusterLoad;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, signal, progress } = context;
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const spaces = isQuick ? QUICK_SPACES : SPACES;
  const durationMs = (isQuick ? QUICK_SECONDS : SECONDS) * 1_000;
  const samples = new Map<Profile, Sample[]>(PROFILES.map((profile) => [profile, []]));
  for (let i = 0; i < repetitions; i++)
    for (const [profile, list] of samples) {
      progress(`${profile}, repetition ${i + 1} of ${repetitions}`);
      const measure = async (fresh: FreshCluster): Promise<Sample> => {
        const common = { vectors, batch: BATCH } as const;
        const full = await clusterLoad(fresh, { ...common, spaces, pace: CLOSED }, signal);
        const perSecond = (full.graphRate * HALF) / BATCH;
        const half = await clusterLoad(
          fresh,
          {
            ...common,
            spaces,
            prefix: 'half',
            pace: { kind: 'open', perSecond, outstandingMax: 100 },
            durationMs,
          },
          signal,
        );
        return { full, half };
      };
      const env = { ENGRAM_PROFILE: profile };
      list.push(await onFreshCluster(context, measure, 1, env));
    }
  const of = (list: readonly Sample[], value: (sample: Sample) => number) => list.map(value);
  return {
    tables: [
      {
        title: `${spaces} × ${vectors.count} rows of ${vectors.name}, one shard`,
        head: [
          'profile',
          'the reference says',
          'accepted/s',
          'searchable/s',
          'in graphs/s',
          'p99 ms',
          'at half: p50 ms',
          'p99 ms',
          'shard MiB',
          'recall@10',
        ],
        rows: [...samples].map(([profile, list]) => [
          profile,
          CLAIMS[profile],
          formatSpread(
            of(list, ({ full }) => full.acceptedRate),
            formatRate,
          ),
          formatSpread(
            of(list, ({ full }) => full.searchableRate),
            formatRate,
          ),
          formatSpread(
            of(list, ({ full }) => full.graphRate),
            formatRate,
          ),
          formatSpread(
            of(list, ({ full }) => full.freshP99Ms),
            formatMs,
          ),
          formatSpread(
            of(list, ({ half }) => half.freshP50Ms),
            formatMs,
          ),
          formatSpread(
            of(list, ({ half }) => half.freshP99Ms),
            formatMs,
          ),
          formatSpread(
            of(list, ({ half }) => half.shardBytes / MIB),
            formatRate,
          ),
          formatSpread(
            list.map(({ full }) => full.recall),
            formatRecall,
          ),
        ]),
      },
    ],
    notes: [
      `${SENDERS} senders that each wait for the log, then half of what got into graphs at a fixed rate; the load, gateway, NATS and shard share the cores`,
      'p50, p99: of 20 single writes a second beside it, through the gateway, from when each was due until a recall sees it; the reference counts from the queue of a worker, in one process',
      'shard MiB: resident at the end of both',
    ],
    figures: PROFILES.map((profile) => ({
      name: `in graphs/s of ${profile}, of production`,
      unit: '×' as const,
      better: 'higher' as const,
      samples: samples
        .get(profile)!
        .map(({ full }, i) => full.graphRate / samples.get('production')![i]!.full.graphRate),
    })).slice(1),
    data: { rows: vectors.count, spaces, samples: Object.fromEntries(samples) },
  };
}
