// The shard's engine alone, in this process, with the defaults of its profile.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame } from '@engram/codec';
import { ShardEngine, SNAPSHOT_KEEP_MS } from '@engram/engine';
import {
  parseSpaceOptions,
  perLane,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import { systemClock } from '@engram/runtime';
import { loadSettings } from '@engram/runtime/service';
import { K } from '../dataset.ts';
import { rowRecall, type Vectors } from '../vectors.ts';

/** As a gateway cuts them at 768 dimensions. */
export const FRAME_ROWS = 80;

export interface EngineRun {
  readonly engine: ShardEngine;
  /** Applies rows of some vectors to a space; resolves when all of them are searchable. */
  readonly apply: (space: SpaceConfig, frames: readonly Frame[]) => Promise<void>;
}

export interface Frame {
  readonly bytes: Uint8Array;
  readonly rows: number;
}

/** A space with the default options for a dimension; its name decides its worker. */
export function spaceOf(name: string, dimension: number): SpaceConfig {
  return {
    ...parseSpaceOptions({ dimension }),
    space: name as SpaceId,
    afterSequence: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
  };
}

/** Rows `from` to `to - 1` as frames of `frameRows`, as they come from the log. */
export function framesOf(
  vectors: Vectors,
  from = 0,
  to = vectors.count,
  frameRows = FRAME_ROWS,
): Frame[] {
  const { dimension, slab } = vectors;
  const frames: Frame[] = [];
  for (let row = from; row < to; row += frameRows) {
    const rows = Math.min(frameRows, to - row);
    const bytes = encodeFrame({
      dimension,
      ids: Array.from({ length: rows }, (_, i) => `row-${row + i}`),
      deletes: [],
      embeddings: slab.subarray(row * dimension, (row + rows) * dimension),
      timestamps: Array.from({ length: rows }, () => NaN),
      metadata: Array.from({ length: rows }, () => undefined),
    });
    frames.push({ bytes, rows });
  }
  return frames;
}

/** Runs something on a new engine with default settings; its folder is gone afterwards. */
export async function onEngine<T>(
  workers: number,
  run: (engine: EngineRun) => Promise<T>,
  overrides: Partial<Parameters<typeof ShardEngine.start>[0]> = {},
): Promise<T> {
  const settings = loadSettings('shard', {});
  const capacity = {
    high: settings.ENGRAM_LANE_HIGH_MAX,
    normal: settings.ENGRAM_LANE_NORMAL_MAX,
    low: settings.ENGRAM_LANE_LOW_MAX,
  };
  const dataDir = await mkdtemp(join(tmpdir(), 'engram-bench-engine-'));
  let sequence = 0;
  try {
    await using engine = await ShardEngine.start({
      dataDir,
      workers,
      lanes: perLane((lane) => ({
        observations: capacity[lane],
        bytes: settings.ENGRAM_LANE_BYTES_MAX,
      })),
      minBatch: settings.ENGRAM_MIN_BATCH,
      maxBatch: settings.ENGRAM_MAX_BATCH,
      stealThreshold: settings.ENGRAM_STEAL_THRESHOLD,
      idleSleepMs: settings.ENGRAM_IDLE_SLEEP_MS,
      memory: {
        softBytes: settings.ENGRAM_MEMORY_SOFT_BYTES,
        hardBytes: settings.ENGRAM_MEMORY_HARD_BYTES,
      },
      graphThreshold: settings.ENGRAM_GRAPH_THRESHOLD,
      segmentBytesMax: settings.ENGRAM_SEGMENT_BYTES_MAX,
      idleUnloadMs: settings.ENGRAM_IDLE_UNLOAD_MS,
      snapshotKeepMs: SNAPSHOT_KEEP_MS,
      clock: systemClock,
      events: {
        onCrash: ({ error }) => console.error(error),
        onLost: () => undefined,
        onFailed: (error) => console.error(error),
        onFault: (fault) => console.error(fault),
      },
      ...overrides,
    });
    const apply = async (config: SpaceConfig, frames: readonly Frame[]): Promise<void> => {
      const pending: Promise<void>[] = [];
      for (const { bytes, rows: observations } of frames) {
        const entry = {
          config,
          partition: 0 as PartitionId,
          lane: 'normal' as const,
          sequence: ++sequence,
          kind: 'frame' as const,
          bytes,
          observations,
        };
        let applied = engine.apply(entry);
        for (; applied === undefined; applied = engine.apply(entry)) await systemClock.sleep(1);
        pending.push(
          applied.then(({ errors }) => {
            if (errors.length > 0) throw new Error(errors[0]!.detail);
          }),
        );
      }
      await Promise.all(pending);
    };
    return await run({ engine, apply });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Mean recall@10 of all queries, one after another. */
export async function engineRecall(
  { engine }: EngineRun,
  config: SpaceConfig,
  vectors: Vectors,
  rowOf: (id: string) => number = (id) => Number(id.slice('row-'.length)),
): Promise<number> {
  let sum = 0;
  for (const [index, embedding] of vectors.queries.entries()) {
    const hits = await engine.recall({ config, embedding, k: K, include: [] });
    sum += rowRecall(
      vectors,
      index,
      hits.map(({ id }) => rowOf(id)),
    );
  }
  return sum / vectors.queries.length;
}
