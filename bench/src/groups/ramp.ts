// The reference's "Throughput Ramp": a whole cluster is offered more and more, whatever it answers.

import { clusterLoad, ROLES, type ClusterLoad } from '../cluster-load.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatRate, formatRecall } from '../samples.ts';
import { words } from '../vectors.ts';

const RATES = [10_000, 25_000, 50_000, 100_000, 150_000, 200_000];
const QUICK_RATES = [10_000, 100_000];
const ROWS = 20_000;
const SECONDS = 6;
const QUICK_SECONDS = 3;
const BATCH = 250;
const SPACES_AT_ONCE = 8;
/** Requests of the load without an answer; what is due beyond them is counted and not sent. */
const OUTSTANDING_MAX = 200;
const MIB = 2 ** 20;

export const ramp: Group = {
  name: 'ramp',
  title: `a cluster that is offered ${RATES[0]!.toLocaleString('en-US')} to ${RATES.at(-1)!.toLocaleString('en-US')} observations a second`,
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, signal, progress } = context;
  const vectors = await words(ROWS, signal);
  const durationMs = (isQuick ? QUICK_SECONDS : SECONDS) * 1_000;
  const rates = isQuick ? QUICK_RATES : RATES;
  const samples = new Map<number, ClusterLoad[]>(rates.map((rate) => [rate, []]));
  for (let i = 0; i < repetitions; i++)
    for (const [rate, loads] of samples) {
      progress(`${formatRate(rate)}/s, repetition ${i + 1} of ${repetitions}`);
      // New for each, so that what one step has left in the log is not in the next one's numbers.
      const load = await onFreshCluster(context, (fresh) =>
        clusterLoad(
          fresh,
          {
            vectors,
            spaces: Math.max(1, Math.ceil((rate * durationMs) / 1_000 / vectors.count)),
            spacesAtOnce: SPACES_AT_ONCE,
            batch: BATCH,
            pace: {
              kind: 'open',
              perSecond: rate / BATCH,
              outstandingMax: OUTSTANDING_MAX,
            },
            durationMs,
          },
          signal,
        ),
      );
      loads.push(load);
    }
  return report(samples, vectors.name, durationMs);
}

/** Of what was due: refused, or beyond what was without an answer. */
function notTaken({ tally }: ClusterLoad): string {
  const due = tally.sent + tally.notSent;
  return `${(((due - tally.accepted) / due) * 100).toFixed(1)} %`;
}

function report(
  samples: ReadonlyMap<number, readonly ClusterLoad[]>,
  name: string,
  durationMs: number,
): GroupReport {
  const rows = [...samples].flatMap(([rate, loads]) =>
    loads.map((load, i) => [
      loads.length > 1 ? `${formatRate(rate)} (${i + 1})` : formatRate(rate),
      formatRate(load.acceptedRate),
      formatRate(load.searchableRate),
      formatRate(load.graphRate),
      ROLES.map((role) => load.cores[role].toFixed(2)).join(' '),
      formatRate(load.memoryBytes / MIB),
      formatMs(load.freshP50Ms),
      formatMs(load.freshP99Ms),
      notTaken(load),
      load.state,
      formatRecall(load.recall),
    ]),
  );
  const highest = [...samples.values()].at(-1)!;
  const best = (i: number) =>
    Math.max(...[...samples.values()].map((loads) => loads[i]!.acceptedRate));
  return {
    tables: [
      {
        title: `${name}, batches of ${BATCH} over HTTP, ${durationMs / 1_000} s each on a new cluster`,
        head: [
          'offered/s',
          'accepted/s',
          'searchable/s',
          'in graphs/s',
          `cores: ${ROLES.join(', ')}`,
          'MiB',
          'p50 ms',
          'p99 ms',
          'not taken',
          'state',
          'recall@10',
        ],
        rows,
      },
    ],
    notes: [
      'an open loop: what is due is sent whatever is answered; searchable and in graphs: accepted observations by the time until the last one was',
      'p50, p99: of 20 single writes a second beside the load, from when each was due until a recall sees it',
      'not taken: refused by the gateway, whose event loop is then the limit, or due while 200 requests had no answer; cores: on average until all was in graphs; state: the worst that a shard said of the lane',
      'recall@10: of one space, with what it lacked sent again afterwards',
      'the load is generated on the same machine, and its share of the cores is listed',
    ],
    figures: [
      {
        name: 'accepted at the highest rate, of the best',
        unit: '×',
        better: 'higher',
        samples: highest.map(({ acceptedRate }, i) => acceptedRate / best(i)),
      },
    ],
    data: { durationMs, samples: Object.fromEntries(samples) },
  };
}
