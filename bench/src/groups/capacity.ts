// What an observation costs here, and whether a simulation with costs of one shard tells what more shards do.

import type { Coefficients } from '@engram/capacity';
import { calibrated } from '../capacity/calibration.ts';
import { capacityReport } from '../capacity/report.ts';
import { LOAD_SETTINGS, load, CLOSED } from '../capacity/load.ts';
import { LOADS, shardsRun, type ShardsRun } from '../capacity/prediction.ts';
import {
  bytesPerSpace,
  countedBytes,
  filesRun,
  graphRun,
  growingOf,
  linearOf,
  privateBytesOf,
  type FilesRun,
  type RowsRun,
} from '../capacity/rows.ts';
import { fitted } from '../capacity/fit.ts';
import {
  batchUs,
  idleOf,
  idleOfShard,
  prepared,
  stageRuns,
  stagesOf,
  type Idle,
  type StageRun,
} from '../capacity/stages.ts';
import type { CpuUse } from '../capacity/meter.ts';
import { describeEnvironment } from '../environment.ts';
import { onFreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { memoryOf } from '../process-usage.ts';

/** Dimension and rows of a space whose graph nobody counts. */
const GRAPH_WARM_UP = [100, 6_000] as const;
/** As full runs have found it. */
const DELIVER_SHARE_QUICK = 0.3;

const FULL = {
  dimensions: [100, 384, 768],
  batches: [20, 80],
  shards: [1, 2, 3, 4],
  predicted: { dimension: 384, batch: 80 },
  /** Each new shard and each of its threads compiles what it runs for itself. */
  shardsWarmUpMs: 13_000,
  times: { idleMs: 2_000, warmUpMs: 4_000, loadMs: 2_500 },
  saturatedMs: 4_000,
  openMs: 4_000,
  loads: LOADS,
  withLow: true,
  graphs: [
    [100, 8_000],
    [100, 24_000],
    [768, 6_000],
    [768, 20_000],
  ],
  files: [
    [100, 12_000],
    [768, 8_000],
  ],
  spaces: 300,
} as const;
/** To see that it works. */
const QUICK = {
  ...FULL,
  dimensions: [100],
  batches: [80],
  shards: [1, 2],
  shardsWarmUpMs: 500,
  times: { idleMs: 300, warmUpMs: 500, loadMs: 500 },
  saturatedMs: 500,
  openMs: 500,
  loads: [0.6],
  withLow: false,
  graphs: [[100, 4_800]],
  files: [],
  spaces: 0,
} as const;

/**
 * Counted, not measured: of a sealed row only its place in the table of ids stays, 14 bytes, in a table that is
 * up to half empty. Garbage of the same process is many times that for as few rows as are written here.
 */
const SEALED = { fixedBytes: 28, perDimensionBytes: 0 } as const;

/** Small segments: a few thousand rows are sealed, and merged. */
const FILES_SETTINGS = {
  ENGRAM_SEGMENT_BYTES_MAX: String(4 * 2 ** 20),
  ENGRAM_CHECKPOINT_MS: '1000',
} as const;

export const capacity: Group = {
  name: 'capacity',
  title: 'what an observation costs, and whether a simulation tells what more shards do',
  run,
};

/** Everything that was measured. */
export interface Measured {
  readonly idle: Idle;
  readonly shardBytes: number;
  readonly gatewayBytes: number;
  readonly stages: readonly StageRun[];
  readonly deliverShare: number;
  readonly shards: readonly ShardsRun[];
  readonly graphs: readonly RowsRun[];
  readonly emptyBytes: number;
  readonly files: readonly FilesRun[];
  readonly perSpaceBytes: number;
}

type Scale = typeof FULL | typeof QUICK;

async function run(context: GroupContext): Promise<GroupReport> {
  const scale = context.isQuick ? QUICK : FULL;
  const measured = await measure(context, scale);
  const environment = await describeEnvironment(context.servers);
  const coefficients = coefficientsOf(measured, environment);
  return capacityReport(measured, coefficients);
}

async function measure(context: GroupContext, scale: Scale): Promise<Measured> {
  const { progress, signal } = context;
  const { batch, dimension } = scale.predicted;
  const { times } = scale;
  const one = await onFreshCluster(
    context,
    async (fresh) => {
      progress('at rest');
      const idle = await idleOf(fresh, times, signal);
      const shardBytes = await privateBytesOf(fresh, signal);
      const stages = await stageRuns(
        fresh,
        scale.dimensions,
        scale.batches,
        times,
        progress,
        signal,
      );
      progress('1 shard');
      const target = await prepared(fresh, dimension, batch, times.loadMs, signal);
      const run = await shardsRun(fresh, target, scale, signal);
      const gatewayBytes = memoryOf(fresh.cluster.gateways.map(({ pid }) => pid));
      return { idle, shardBytes, stages, run, gatewayBytes };
    },
    1,
    LOAD_SETTINGS,
  );
  const { idle, shardBytes, gatewayBytes } = one;
  // The same load as those of more shards, on code that is as warm.
  const stages = [...one.stages, { dimension, batch, load: one.run.saturated }];
  const shards: ShardsRun[] = [one.run];
  for (const count of scale.shards.slice(1)) {
    progress(`${count} shards`);
    const more = await onFreshCluster(
      context,
      async (fresh) => {
        const target = await prepared(fresh, dimension, batch, scale.shardsWarmUpMs, signal);
        return shardsRun(fresh, target, { ...scale, withLow: false }, signal);
      },
      count,
      LOAD_SETTINGS,
    );
    shards.push(more);
  }
  const deliverShare = context.isQuick
    ? DELIVER_SHARE_QUICK
    : await deliverShareOf(context, scale, batchUs(one.run.saturated, natsOf, idle.nats));
  const { graphs, emptyBytes, perSpaceBytes } = await onFreshCluster(
    context,
    async (fresh) => {
      progress('small spaces');
      const perSpaceBytes = await bytesPerSpace(fresh, scale.spaces, signal);
      const runs: RowsRun[] = [];
      if (!context.isQuick) await graphRun(fresh, ...GRAPH_WARM_UP, signal);
      const emptyBytes = await countedBytes(fresh);
      for (const [of, rows] of scale.graphs) {
        progress(`graphs of ${rows} × ${of}`);
        runs.push(await graphRun(fresh, of, rows, signal));
      }
      return { graphs: runs, emptyBytes, perSpaceBytes };
    },
    1,
  );
  const files: FilesRun[] = [];
  if (scale.files.length > 0)
    await onFreshCluster(
      context,
      async (fresh) => {
        for (const [of, rows] of scale.files) {
          progress(`files of ${rows} × ${of}`);
          files.push(await filesRun(fresh, of, rows, signal));
        }
      },
      1,
      FILES_SETTINGS,
    );
  return {
    idle,
    shardBytes,
    gatewayBytes,
    stages,
    deliverShare,
    shards,
    graphs,
    emptyBytes,
    files,
    perSpaceBytes,
  };
}

/** What nats-server does more for a batch that a second shard reads, of what it does for one that one reads. */
async function deliverShareOf(
  context: GroupContext,
  { predicted: { batch, dimension }, saturatedMs, times }: Scale,
  singleUs: number,
): Promise<number> {
  const { progress, signal } = context;
  progress('two copies');
  const doubleUs = await onFreshCluster(
    context,
    async (fresh) => {
      const target = await prepared(fresh, dimension, batch, times.warmUpMs, signal);
      return batchUs(await load(fresh, target, CLOSED, saturatedMs, signal), natsOf, 0);
    },
    2,
    { ...LOAD_SETTINGS, ENGRAM_REPLICATION: '2' },
  );
  return Math.min(1, Math.max(0, doubleUs / singleUs - 1));
}

function natsOf({ nats }: CpuUse): number {
  return nats;
}

function coefficientsOf(
  measured: Measured,
  environment: Awaited<ReturnType<typeof describeEnvironment>>,
): Coefficients {
  const { idle, stages, deliverShare, shards, graphs, files } = measured;
  const { cpu: stageCosts, log } = stagesOf(stages, idle, deliverShare);
  const { apply } = stageCosts;
  const graph = fitted(
    graphs.map(({ dimension, rows, shardCpuMs, elapsedMs }) => {
      const bytes = log.fixedBytes + log.perDimensionBytes * dimension;
      const applyUs = apply.perBatchUs / 80 + apply.perObservationUs + apply.perByteUs * bytes;
      const ownMs = shardCpuMs - idleOfShard(idle) * elapsedMs;
      const builtUs = (ownMs * 1_000) / rows - applyUs;
      return { factors: [1, dimension, Math.log2(rows)], value: builtUs };
    }),
  );
  const [fixedUs = 0, perDimensionUs = 0, perDoublingUs = 0] = graph;
  const { cpu: processor, cores, node, natsServer, redisServer, commit, date } = environment;
  const coefficients: Coefficients = {
    machine: { cpu: processor, cores, node, natsServer, redisServer, commit, date },
    cpu: {
      ...stageCosts,
      graph: { fixedUs, perDimensionUs, perDoublingUs },
      variation: 1,
      wakeUs: { gateway: 0, log: 0, shard: 0 },
      idle,
    },
    waitMs: 0,
    memory: {
      growing: growingOf(graphs, measured.emptyBytes),
      sealed: SEALED,
      perSpaceBytes: measured.perSpaceBytes,
      shardBytes: measured.shardBytes,
      gatewayBytes: measured.gatewayBytes,
    },
    log,
    disk: {
      folder: linearOf(files, ({ folderBytes }) => folderBytes),
      checkpoint: linearOf(files, ({ checkpointBytes }) => checkpointBytes),
    },
  };
  return calibrated(shards[0]!, coefficients);
}
