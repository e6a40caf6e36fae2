// The ways into the log, beside a publisher that has nothing to do but to publish.

import { applied, onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { publishLoad, WAYS, type PublishTally, type Way } from '../publish-load.ts';
import { formatRate, formatRatio, formatSpread } from '../samples.ts';
import { clustered } from '../vectors.ts';

const DIMENSION = 768;
/** The largest batch that is one frame: 246 KB. */
const BATCH = 80;
const ROWS = 4_000;
const SPACE = 'pipe';
const SENDERS = 8;
const SECONDS = 5;
const QUICK_SECONDS = 1;
const WARM_UP_MS = 2_000;
const QUICK_WARM_UP_MS = 1_000;
const ROUNDS = 2;

const NAMES: Readonly<Record<Way, string>> = {
  bare: 'a bare JetStream publisher, frames made beforehand',
  http: 'the SDK over HTTP and a gateway',
  nats: 'the SDK straight over NATS',
};

export const pipes: Group = {
  name: 'pipes',
  title: `${DIMENSION}-d batches into the log, by each way, with its acknowledgement`,
  run,
};

type Round = Readonly<Record<Way, PublishTally>>;

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, progress, signal } = context;
  const { slab } = await clustered(ROWS, DIMENSION, signal);
  const durationMs = (isQuick ? QUICK_SECONDS : SECONDS) * 1_000;
  const rounds: Round[] = [];
  // Without graphs, also of full segments, which would be built beside the next way, and with time for what
  // waits in the log: the subject is the way there, and a bare publisher does not mind what shards say.
  const env = {
    ENGRAM_GRAPH_THRESHOLD: '1000000',
    ENGRAM_SEGMENT_BYTES_MAX: String(4_096 * 2 ** 20),
    ENGRAM_LAG_NORMAL_MAX_MS: '60000',
  };
  for (let i = 0; i < repetitions; i++)
    await onFreshCluster(
      context,
      async (fresh) => {
        await fresh.client.createSpace(SPACE, { dimension: DIMENSION }, { signal });
        for (let round = 0; round < ROUNDS; round++) {
          progress(`round ${round + 1} of ${ROUNDS}, repetition ${i + 1} of ${repetitions}`);
          const tallies: Partial<Record<Way, PublishTally>> = {};
          for (const way of WAYS) {
            const { url, natsUrl } = fresh;
            const common = {
              url,
              natsUrl,
              space: SPACE,
              senders: SENDERS,
              warmUpMs: isQuick ? QUICK_WARM_UP_MS : WARM_UP_MS,
              durationMs,
            };
            tallies[way] = await publishLoad(
              { way, ...common, slab, dimension: DIMENSION, batchCount: BATCH },
              signal,
            );
            await applied(fresh.client, signal);
          }
          // The first one warms everything up.
          if (round > 0) rounds.push(tallies as Round);
        }
      },
      undefined,
      env,
    );
  const rateOf = ({ batches, elapsedMs }: PublishTally) => (batches * BATCH * 1_000) / elapsedMs;
  return {
    tables: [
      {
        title: 'observations a second, acknowledged by the log',
        head: ['way', 'observations/s', 'of the bare publisher', 'refused or failed'],
        rows: WAYS.map((way) => [
          NAMES[way],
          formatSpread(
            rounds.map((round) => rateOf(round[way])),
            formatRate,
          ),
          formatSpread(
            rounds.map((round) => rateOf(round[way]) / rateOf(round.bare)),
            formatRatio,
          ),
          String(rounds.reduce((sum, round) => sum + round[way].failed, 0)),
        ]),
      },
    ],
    notes: [
      `${BATCH} observations a batch, one frame of 246 KB; ${SENDERS} senders in one thread; the shards apply what comes meanwhile, without building graphs`,
      'ways take turns in one run on one cluster, each after all of the one before was applied; the first round is not counted',
    ],
    figures: (['http', 'nats'] as const).map((way) => ({
      name: `${way}, of the bare publisher`,
      unit: '×',
      better: 'higher',
      samples: rounds.map((round) => rateOf(round[way]) / rateOf(round.bare)),
    })),
    data: { rounds },
  };
}
