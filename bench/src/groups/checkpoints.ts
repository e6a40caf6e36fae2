// What checkpoints cost an import: the same import without any, with those of the settings, and with one a
// second, each on a new cluster, in turns.

import { WORD_DIMENSION } from '@engram/demo';
import { readFirst } from '../dataset.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { runImport, SPACE, writeByNats, type ImportTimes } from '../import.ts';
import { formatRate, formatRatio, formatSpread } from '../samples.ts';

const ROWS = 100_000;
/** Longer than any import. */
const NEVER_MS = '86400000';
const NEVER_BYTES = String(2 ** 40);

const WAYS = [
  ['none', { ENGRAM_CHECKPOINT_MS: NEVER_MS, ENGRAM_CHECKPOINT_BYTES: NEVER_BYTES }],
  ['as by default', {}],
  ['one a second', { ENGRAM_CHECKPOINT_MS: '1000' }],
] as const;

type Way = (typeof WAYS)[number][0];
type Repetition = Readonly<Record<Way, ImportTimes>>;

const STEPS = ['loggedMs', 'searchableMs', 'indexedMs'] as const;

export const checkpoints: Group = {
  name: 'checkpoints',
  title: 'what checkpoints cost an import',
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const { progress, signal } = context;
  const words = await readFirst(context.isQuick ? ROWS / 5 : ROWS);
  const repetitions: Repetition[] = [];
  for (let index = 0; index < context.repetitions; index++) {
    const times: Partial<Record<Way, ImportTimes>> = {};
    // Not always in the same order: a machine that is slow for a while must not always slow the same one.
    for (const [way, env] of index % 2 === 0 ? WAYS : WAYS.toReversed()) {
      progress(`checkpoints: ${way}, repetition ${index + 1} of ${context.repetitions}`);
      times[way] = await onFreshCluster(
        context,
        async (fresh) => {
          await fresh.client.createSpace(SPACE, { dimension: WORD_DIMENSION }, { signal });
          return runImport(fresh, words, writeByNats, signal);
        },
        1,
        env,
      );
    }
    repetitions.push(times as Repetition);
  }
  return report(words.length, repetitions);
}

function report(count: number, repetitions: readonly Repetition[]): GroupReport {
  const rate = (way: Way, step: (typeof STEPS)[number]) =>
    formatSpread(
      repetitions.map((each) => (count * 1_000) / each[way][step]),
      formatRate,
    );
  const ratio = (way: Way, step: (typeof STEPS)[number]) =>
    formatSpread(
      repetitions.map((each) => each.none[step] / each[way][step]),
      formatRatio,
    );
  return {
    tables: [
      {
        title: `${count} words of ${WORD_DIMENSION} dimensions by NATS into one space on one shard, observations/s`,
        head: ['until', ...WAYS.flatMap(([way]) => (way === 'none' ? [way] : [way, 'of none']))],
        rows: STEPS.map((step) => [
          step.slice(0, -2),
          ...WAYS.flatMap(([way]) =>
            way === 'none' ? [rate(way, step)] : [rate(way, step), ratio(way, step)],
          ),
        ]),
      },
    ],
    notes: [
      'median (min–max) of the repetitions; a ratio is of one repetition, then the median of those',
      'one a second stores again all that is not in sealed segments; nobody needs it so often',
    ],
    figures: WAYS.filter(([way]) => way !== 'none').map(([way]) => ({
      name: `searchable/s with checkpoints of ${way}, of none`,
      unit: '×' as const,
      better: 'higher' as const,
      samples: repetitions.map((each) => each.none.searchableMs / each[way].searchableMs),
    })),
    data: { count, ways: Object.fromEntries(WAYS), samples: repetitions },
  };
}
