// One load on a shard's engine in this process: rows go in as fast as there is room, or at a fixed rate.

import { setTimeout as pause } from 'node:timers/promises';
import { build, type Histogram } from 'hdr-histogram-js';
import type { PartitionId, SpaceConfig } from '@engram/model';
import type { Vectors } from '../vectors.ts';
import {
  engineRecall,
  framesOf,
  onEngine,
  spaceOf,
  type EngineRun,
  type Frame,
} from './fixture.ts';

export interface EngineLoadOptions {
  readonly vectors: Vectors;
  readonly workers: number;
  /** Rows that each space gets: the first ones. */
  readonly rowsOf: readonly number[];
  /** The worker that each space belongs to; default: spread evenly. */
  readonly workerOf?: readonly number[];
  readonly frameRows?: number;
  /** Rows a second whatever is taken, an open loop; default: as fast as there is room. */
  readonly perSecond?: number;
  readonly engine?: Parameters<typeof onEngine>[2];
}

export interface EngineLoad {
  /** Rows a second until the last one was searchable. */
  readonly searchableRate: number;
  /** … until the last one was in a graph. */
  readonly graphRate: number;
  /** From when an entry was due until it was searchable. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Times that an entry found no room. */
  readonly refusals: number;
  /** Observations that waited, at the 99th percentile of entries. */
  readonly depthP99: number;
  /** Of the time of the load, a worker each. */
  readonly utilizations: readonly number[];
  readonly stolen: number;
  /** Private memory of this process beyond what it had before the load. */
  readonly grownBytes: number;
  /** recall@10 of the largest space when it has all rows; else undefined. */
  readonly recall: number | undefined;
}

/** Rows of spaces that nothing is counted of, so that no code is compiled while it is timed. */
const WARM_ROWS = 5_000;
const DUE_RESOLUTION_MS = 1;

export function engineLoad(options: EngineLoadOptions, signal: AbortSignal): Promise<EngineLoad> {
  const { vectors, workers, rowsOf, frameRows, perSecond } = options;
  return onEngine(
    workers,
    async (run) => {
      const configs = spacesOf(run, options);
      const frames = configs.map((_, i) => framesOf(vectors, 0, rowsOf[i], frameRows));
      const warm = framesOf(vectors, 0, Math.min(WARM_ROWS, vectors.count));
      for (const config of spacesOf(run, {
        ...options,
        rowsOf: Array.from({ length: workers }, () => 0),
        workerOf: Array.from({ length: workers }, (_, i) => i),
        prefix: 'warm',
      })) {
        await run.apply(config, warm);
        await run.engine.indexed(config);
      }
      const before = await run.engine.refresh();
      const busyBefore = busyMs(run);
      const stolenBefore = run.engine.assists.stolen;
      const rows = rowsOf.reduce((sum, each) => sum + each, 0);
      const startedAt = performance.now();
      const applied = await applyAll(run, configs, frames, perSecond, signal);
      const searchableMs = performance.now() - startedAt;
      for (const config of configs) await run.engine.indexed(config);
      const indexedMs = performance.now() - startedAt;
      const utilizations = busyMs(run).map((ms, i) => (ms - busyBefore[i]!) / indexedMs);
      const after = await run.engine.refresh();
      const whole = rowsOf.indexOf(vectors.count);
      return {
        searchableRate: (rows * 1_000) / searchableMs,
        graphRate: (rows * 1_000) / indexedMs,
        p50Ms: applied.latency.getValueAtPercentile(50) / 1_000,
        p99Ms: applied.latency.getValueAtPercentile(99) / 1_000,
        refusals: applied.refusals,
        depthP99: applied.depth.getValueAtPercentile(99),
        utilizations,
        stolen: run.engine.assists.stolen - stolenBefore,
        grownBytes: after.privateBytes - before.privateBytes,
        recall: whole < 0 ? undefined : await engineRecall(run, configs[whole]!, vectors),
      };
    },
    options.engine,
  );
}

/** Spaces whose names put them on the workers that are wanted. */
function spacesOf(
  { engine }: EngineRun,
  {
    vectors,
    rowsOf,
    workerOf,
    prefix = 'load',
  }: Pick<EngineLoadOptions, 'vectors' | 'rowsOf' | 'workerOf'> & { readonly prefix?: string },
): SpaceConfig[] {
  const spaces: SpaceConfig[] = [];
  for (let n = 0; spaces.length < rowsOf.length; n++) {
    const config = spaceOf(`${prefix}-${n}`, vectors.dimension);
    const wanted = workerOf?.[spaces.length] ?? spaces.length % engine.workers;
    if (engine.workerOf(config.space) === wanted) spaces.push(config);
  }
  return spaces;
}

/** How long each worker was busy since its start. */
function busyMs({ engine }: EngineRun): number[] {
  return Array.from({ length: engine.workers }, (_, i) => engine.busyMs(i));
}

interface Applied {
  readonly latency: Histogram;
  readonly depth: Histogram;
  readonly refusals: number;
}

/** Frames of all spaces in turn, until all are searchable. */
async function applyAll(
  { engine }: EngineRun,
  configs: readonly SpaceConfig[],
  frames: readonly (readonly Frame[])[],
  perSecond: number | undefined,
  signal: AbortSignal,
): Promise<Applied> {
  const latency = build({ numberOfSignificantValueDigits: 3 });
  const depth = build({ lowestDiscernibleValue: 1, numberOfSignificantValueDigits: 3 });
  const pending = new Set<Promise<void>>();
  let refusals = 0;
  let sequence = 1_000_000;
  let rowsBefore = 0;
  const startedAt = performance.now();
  for (const { space, frame } of inTurn(frames)) {
    signal.throwIfAborted();
    const entry = {
      config: configs[space]!,
      partition: 0 as PartitionId,
      lane: 'normal' as const,
      sequence: ++sequence,
      kind: 'frame' as const,
      bytes: frame.bytes,
      observations: frame.rows,
    };
    const dueAt = perSecond === undefined ? NaN : startedAt + (rowsBefore * 1_000) / perSecond;
    rowsBefore += frame.rows;
    const waitMs = dueAt - performance.now();
    if (waitMs >= DUE_RESOLUTION_MS) await pause(waitMs);
    depth.recordValue(engine.depth('normal').observations);
    // Without a rate it is due when it is first offered.
    const offeredAt = Number.isNaN(dueAt) ? performance.now() : dueAt;
    let taken = engine.apply(entry);
    if (taken === undefined) refusals++;
    for (; taken === undefined; taken = engine.apply(entry)) await Promise.race(pending);
    const one: Promise<void> = taken.then(({ errors }) => {
      if (errors.length > 0) throw new Error(errors[0]!.detail);
      latency.recordValue(Math.max(1, Math.round((performance.now() - offeredAt) * 1_000)));
      pending.delete(one);
    });
    pending.add(one);
  }
  await Promise.all(pending);
  return { latency, depth, refusals };
}

/** The first frame of each space, then the second ones, and so on. */
function* inTurn(
  frames: readonly (readonly Frame[])[],
): Generator<{ readonly space: number; readonly frame: Frame }, void> {
  const most = Math.max(...frames.map(({ length }) => length));
  for (let i = 0; i < most; i++)
    for (const [space, own] of frames.entries()) {
      const frame = own[i];
      if (frame !== undefined) yield { space, frame };
    }
}
