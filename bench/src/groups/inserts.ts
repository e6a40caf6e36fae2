// One space in this thread: how fast entries of the log are applied and get into its graph, beside the bare
// native engine that does nothing else. Many short repetitions, so that a change of a tenth is seen.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeFrame } from '@engram/codec';
import type { SpaceConfig } from '@engram/model';
import {
  emptySpace,
  ENGINE_DEFAULTS,
  UNHURRIED,
  type EngineOptions,
  type OpenSpace,
} from '@engram/space-engine';
import { quantizationScale } from '@engram/vector-index';
import { K } from '../dataset.ts';
import { bareInsertMs } from '../engine/bare-threads.ts';
import { FRAME_ROWS, framesOf, spaceOf, type Frame } from '../engine/fixture.ts';
import type { Figure } from '../figures/figure.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatRate, formatRatio, formatRecall, formatSpread, mean } from '../samples.ts';
import { rowRecall, words, type Vectors } from '../vectors.ts';

const ROWS = 8_000;
const REPETITIONS = 30;
const QUICK_REPETITIONS = 9;
/** Compile and warm what is measured. */
const WARM_UPS = 2;
const SECOND_MS = 1_000;

export const inserts: Group = {
  name: 'inserts',
  title: 'one space in one thread: apply and graph, beside the bare engine',
  run,
};

interface Bare {
  readonly options: SpaceConfig;
  /** Of the quantised rows. */
  readonly scale: number;
}

interface Repetition {
  readonly bareRate: number;
  /** Rows a second until a recall sees them. */
  readonly applyRate: number;
  /** Rows a second into the graph, once they are applied. */
  readonly graphRate: number;
  readonly recall: number;
}

async function run({ isQuick, signal, progress }: GroupContext): Promise<GroupReport> {
  const vectors = await words(ROWS, signal);
  const frames = framesOf(vectors);
  const { slab, count: rows, dimension } = vectors;
  const config = spaceOf('inserts', dimension);
  const scale = quantizationScale(slab, rows, dimension, config.metric);
  const bare = { options: config, scale };
  const count = isQuick ? QUICK_REPETITIONS : REPETITIONS;
  const repetitions: Repetition[] = [];
  for (let i = 0; i < WARM_UPS + count; i++) {
    progress(`repetition ${i + 1} of ${WARM_UPS + count}`);
    signal.throwIfAborted();
    const each = await repeat(vectors, frames, bare);
    if (i >= WARM_UPS) repetitions.push(each);
  }
  return report(repetitions, vectors);
}

/** A, B: one after the other, so that a slow minute of the machine is in both. */
async function repeat(vectors: Vectors, frames: readonly Frame[], bare: Bare): Promise<Repetition> {
  const bareMs = await bareInsertMs(vectors, 1, bare);
  const folder = await mkdtemp(join(tmpdir(), 'engram-bench-inserts-'));
  try {
    const options: EngineOptions = {
      ...ENGINE_DEFAULTS,
      folder,
      pace: UNHURRIED,
      onFault: (error) => {
        throw error;
      },
    };
    const space = emptySpace(bare.options, options);
    const begunAt = performance.now();
    for (const [i, { bytes }] of frames.entries())
      space.engine.apply(decodeFrame(bytes), i + 1, 'normal');
    const appliedAt = performance.now();
    while (space.upkeep.buildGraph(() => false)) continue;
    const graphedAt = performance.now();
    const recall = await recallOf(space, vectors);
    space.engine.segments.close();
    return {
      bareRate: (vectors.count * SECOND_MS) / bareMs,
      applyRate: (vectors.count * SECOND_MS) / (appliedAt - begunAt),
      graphRate: (vectors.count * SECOND_MS) / (graphedAt - appliedAt),
      recall,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function recallOf({ engine }: OpenSpace, vectors: Vectors): Promise<number> {
  const found: number[] = [];
  for (const [query, embedding] of vectors.queries.entries()) {
    const hits = await engine.recall({ embedding, k: K });
    found.push(
      rowRecall(
        vectors,
        query,
        hits.map(({ id }) => Number(id.slice('row-'.length))),
      ),
    );
  }
  return mean(found);
}

function report(repetitions: readonly Repetition[], { name }: Vectors): GroupReport {
  const of = (pick: (each: Repetition) => number) => repetitions.map(pick);
  const row = (what: string, rate: (each: Repetition) => number, recall: string) => [
    what,
    formatSpread(of(rate), formatRate),
    formatSpread(
      of((each) => rate(each) / each.bareRate),
      formatRatio,
    ),
    recall,
  ];
  const recall = formatSpread(
    of((each) => each.recall),
    formatRecall,
  );
  const figures: Figure[] = [
    {
      name: 'graph, of the bare engine',
      unit: '×',
      better: 'higher',
      samples: of((each) => each.graphRate / each.bareRate),
    },
    {
      name: 'apply, of the bare engine',
      unit: '×',
      better: 'higher',
      samples: of((each) => each.applyRate / each.bareRate),
    },
    { name: 'recall@10', unit: 'share', better: 'higher', samples: of((each) => each.recall) },
  ];
  return {
    tables: [
      {
        title: `${ROWS} rows: ${name}`,
        head: ['what', 'rows/s', 'of the bare engine', 'recall@10'],
        rows: [
          row('the bare engine', (each) => each.bareRate, '–'),
          row('applied, found by exact scan', (each) => each.applyRate, formatRecall(1)),
          row('into the graph', (each) => each.graphRate, recall),
        ],
      },
    ],
    notes: [
      `${repetitions.length} repetitions in turn, each of a new index; frames of ${FRAME_ROWS} as they come from the log`,
    ],
    figures,
    data: { repetitions },
  };
}
