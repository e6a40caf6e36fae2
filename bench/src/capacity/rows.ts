// What rows take once they lie there: graphs, memory, files, checkpoints.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { LinearBytes } from '@engram/capacity';
import { CONTENT_TYPES } from '@engram/codec';
import { connect } from 'nats';
import type { FreshCluster } from '../fresh-cluster.ts';
import { fitted } from './fit.ts';
import { framesOf } from './load.ts';
import { metered } from './meter.ts';

const BATCH = 80;
const IN_FLIGHT = 4;
const POLL_MS = 100;
const SETTLED_MS_MAX = 90_000;
/** Files change no more. */
const QUIET_MS = 2_500;

export interface RowsRun {
  readonly dimension: number;
  readonly rows: number;
  /** Of the shard, until all were in graphs. */
  readonly shardCpuMs: number;
  readonly elapsedMs: number;
  /** Private memory that is counted for rows, ids and graphs of this and all runs before on the cluster. */
  readonly countedBytes: number;
}

/** Writes rows to a space of its own and waits until all are in graphs. */
export async function graphRun(
  fresh: FreshCluster,
  dimension: number,
  rows: number,
  signal: AbortSignal,
): Promise<RowsRun> {
  const { client, cluster } = fresh;
  const space = `rows-${dimension}-${rows}`;
  await client.createSpace(space, { dimension }, { signal });
  const frames = await framesOf(rows, dimension, BATCH, signal);
  const count = frames.length * BATCH;
  const { cpu, elapsedMs } = await metered(cluster, async () => {
    await written(fresh, space, frames, signal);
    await until(async () => (await client.space(space, { signal })).indexed === count, signal);
  });
  const counted = await countedBytes(fresh);
  return { dimension, rows: count, shardCpuMs: cpu.shards, elapsedMs, countedBytes: counted };
}

async function written(
  { url }: FreshCluster,
  space: string,
  frames: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<void> {
  const left = frames.values();
  const sender = async (): Promise<void> => {
    for (const frame of left) {
      const response = await fetch(`${url}/v1/spaces/${space}/observations?ack=searchable`, {
        method: 'POST',
        headers: { 'content-type': CONTENT_TYPES.frame },
        body: frame as Uint8Array<ArrayBuffer>,
        signal,
      });
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
}

/** Buffers and graphs, as the shard counts them: the kernel's number moves with V8's heaps. */
export async function countedBytes({ cluster }: FreshCluster): Promise<number> {
  const text = await (await fetch(`${cluster.shards[0]!.url}/metrics`)).text();
  let bytes = 0;
  for (const [, component, value] of text.matchAll(
    /memory_component_bytes\{[^}]*component="(\w+)"[^}]*\} (\S+)/g,
  ))
    if (component === 'buffers' || component === 'graphs') bytes += Number(value);
  return bytes;
}

/** Private bytes of each of some small spaces. */
export async function bytesPerSpace(
  fresh: FreshCluster,
  count: number,
  signal: AbortSignal,
): Promise<number> {
  if (count === 0) return 0;
  const { client } = fresh;
  const embedding = [1, 0, 0, 0];
  const before = await privateBytesOf(fresh, signal);
  const numbers = Array.from({ length: count }, (_, index) => index).values();
  const maker = async (): Promise<void> => {
    for (const number of numbers) {
      const space = `small-${number}`;
      await client.createSpace(space, { dimension: embedding.length }, { signal });
      await client.put(space, [{ id: 'a', embedding }], { ack: 'searchable', signal });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT * 4 }, maker));
  return Math.max(0, (await privateBytesOf(fresh, signal)) - before) / count;
}

export async function privateBytesOf(
  { client }: FreshCluster,
  signal: AbortSignal,
): Promise<number> {
  await pause(1_200, undefined, { signal }); // members say it once a second
  const { members } = await client.cluster({ signal });
  return Math.max(...members.map(({ privateBytes = 0 }) => privateBytes));
}

export interface FilesRun {
  readonly dimension: number;
  readonly rows: number;
  readonly folderBytes: number;
  readonly checkpointBytes: number;
}

/** The same until segments are sealed, merged and in a checkpoint. Wants a cluster with small segments. */
export async function filesRun(
  fresh: FreshCluster,
  dimension: number,
  rows: number,
  signal: AbortSignal,
): Promise<FilesRun> {
  const before = await filesOf(fresh);
  const run = await graphRun(fresh, dimension, rows, signal);
  let last = '';
  let quietSince = performance.now();
  await until(async () => {
    const now = JSON.stringify(await filesOf(fresh));
    if (now !== last) quietSince = performance.now();
    last = now;
    return performance.now() - quietSince >= QUIET_MS;
  }, signal);
  const after = await filesOf(fresh);
  return {
    dimension,
    rows: run.rows,
    folderBytes: after.folder - before.folder,
    checkpointBytes: after.blobs - before.blobs,
  };
}

/** Bytes of the shard's data folder, files of several names once, and of the blob store. */
async function filesOf({
  cluster,
  natsUrl,
}: FreshCluster): Promise<{ readonly folder: number; readonly blobs: number }> {
  const seen = new Set<number>();
  let folder = 0;
  const base = join(cluster.dataDir, 'segments');
  for (const entry of await readdir(base, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    if (found === undefined || seen.has(found.ino)) continue; // removed meanwhile, or a hard link
    seen.add(found.ino);
    folder += found.size;
  }
  const nats = await connect({ servers: natsUrl });
  try {
    const jsm = await nats.jetstreamManager();
    let blobs = 0;
    for await (const { config, state } of jsm.streams.list())
      if (config.name.startsWith('OBJ_')) blobs += state.bytes;
    return { folder, blobs };
  } finally {
    await nats.close();
  }
}

/** Of runs of several dimensions, each row of which takes so much. */
export function linearOf<R extends { readonly dimension: number; readonly rows: number }>(
  runs: readonly R[],
  bytesOf: (run: R) => number,
): LinearBytes {
  const [fixedBytes = 0, perDimensionBytes = 0] = fitted(
    runs.map((run) => ({
      factors: [1, run.dimension],
      value: Math.max(0, bytesOf(run)) / run.rows,
    })),
  );
  return { fixedBytes, perDimensionBytes };
}

/**
 * Of an observation, from what all rows so far take after each run: what one run leaves to be collected comes
 * and goes, and does not add up.
 */
export function growingOf(runs: readonly RowsRun[], emptyBytes: number): LinearBytes {
  const all = { rows: 0, dimensions: 0 };
  const [fixedBytes = 0, perDimensionBytes = 0] = fitted(
    runs.map(({ dimension, rows, countedBytes: counted }) => {
      all.rows += rows;
      all.dimensions += rows * dimension;
      return { factors: [all.rows, all.dimensions], value: Math.max(0, counted - emptyBytes) };
    }),
  );
  return { fixedBytes, perDimensionBytes };
}

async function until(isSo: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  const end = performance.now() + SETTLED_MS_MAX;
  while (!(await isSo())) {
    if (performance.now() >= end) throw new Error(`not settled within ${SETTLED_MS_MAX} ms`);
    await pause(POLL_MS, undefined, { signal });
  }
}
