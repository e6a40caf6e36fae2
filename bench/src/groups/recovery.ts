// How soon everything is served again after a shard was stopped, killed, or is gone for good.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { EngramClient } from '@engram/client';
import { WORD_DIMENSION } from '@engram/demo';
import { ClusterError } from '@engram/model';
import { readFirst } from '../dataset.ts';
import { onFreshCluster, settled, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatMs, formatSpread } from '../samples.ts';
import { clustered } from '../vectors.ts';

const ROWS = 100_000;
const DIMENSION = 768;
const BATCH = 500;
const SPACES = 12;
const SHARDS = 3;
/** Of the settings; a dead shard is missed by then. */
const LEASE_MS = 3_000;
const POLL_MS = 10;
const MS_MAX = 600_000;

export const recovery: Group = {
  name: 'recovery',
  title: 'how soon everything is served again after a shard was stopped or killed',
  run,
};

interface Rows {
  readonly count: number;
  readonly dimension: number;
  readonly embedding: (row: number) => Float32Array;
}

type Samples = Readonly<Record<'stopped' | 'killed' | 'diskLost' | 'takenOver', number[]>>;

/** How the only shard ends; its disk may be lost with it. */
const ENDS = [
  ['stopped', 'SIGTERM', true],
  ['killed', 'SIGKILL', true],
  ['diskLost', 'SIGKILL', false],
] as const;

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, repetitions, progress, signal } = context;
  const count = isQuick ? ROWS / 20 : ROWS;
  // Most of a quick run would be the wait for a checkpoint.
  const env: Readonly<Record<string, string>> = isQuick ? { ENGRAM_CHECKPOINT_MS: '1000' } : {};
  const samples: Samples = { stopped: [], killed: [], diskLost: [], takenOver: [] };
  const { slab } = await clustered(count, DIMENSION, signal);
  const wide: Rows = {
    count,
    dimension: DIMENSION,
    embedding: (row) => slab.subarray(row * DIMENSION, (row + 1) * DIMENSION),
  };
  const words = await readFirst(count);
  const narrow: Rows = {
    count,
    dimension: WORD_DIMENSION,
    embedding: (row) => words[row]!.embedding,
  };
  await onFreshCluster(
    context,
    async (fresh) => {
      const [shard] = fresh.cluster.shards;
      progress(`importing ${count} observations of ${DIMENSION} dimensions`);
      await load(fresh, wide, 1, signal);
      for (let i = 0; i < repetitions; i++)
        for (const [end, how, isDiskKept] of ENDS) {
          const folder = isDiskKept ? 'with its data folder' : 'without its data folder';
          progress(`${how} and a start ${folder}, ${i + 1} of ${repetitions}`);
          await stored(fresh, signal);
          shard!.signal(how);
          await shard!.exited;
          if (!isDiskKept)
            await rm(join(fresh.cluster.dataDir, 'segments', shard!.id), { recursive: true });
          const begun = performance.now();
          await shard!.start();
          await served(fresh, wide, 1, signal);
          samples[end].push(performance.now() - begun);
        }
    },
    1,
    env,
  );
  for (let i = 0; i < repetitions; i++)
    await onFreshCluster(
      context,
      async (fresh) => {
        progress(`one of ${SHARDS} shards killed, ${i + 1} of ${repetitions}`);
        await load(fresh, narrow, SPACES, signal);
        await stored(fresh, signal);
        const begun = performance.now();
        fresh.cluster.shards[1]!.signal('SIGKILL');
        await settled(fresh.url, SHARDS - 1, signal);
        await served(fresh, narrow, SPACES, signal);
        samples.takenOver.push(performance.now() - begun - LEASE_MS);
      },
      SHARDS,
      env,
    );
  return report(count, samples);
}

const spaceOf = (row: number, spaces: number) => `space-${row % spaces}`;

async function load({ client }: FreshCluster, rows: Rows, spaces: number, signal: AbortSignal) {
  for (let space = 0; space < spaces; space++)
    await client.createSpace(spaceOf(space, spaces), { dimension: rows.dimension }, { signal });
  for (let space = 0; space < spaces; space++) {
    const mine = Array.from({ length: rows.count }, (_, row) => row).filter(
      (row) => row % spaces === space,
    );
    for (let at = 0; at < mine.length; at += BATCH)
      await client.put(
        spaceOf(space, spaces),
        mine.slice(at, at + BATCH).map((row) => ({
          id: `row-${row}`,
          embedding: rows.embedding(row),
        })),
        { signal },
      );
    await until('all are in graphs', signal, async () => {
      const { count, indexed } = await client.space(spaceOf(space, spaces), { signal });
      return count === mine.length && indexed === count;
    });
  }
}

/** Every partition with new entries has a checkpoint that has them. */
async function stored({ cluster }: FreshCluster, signal: AbortSignal): Promise<void> {
  await until('everything is in checkpoints', signal, async () => {
    for (const shard of cluster.shards) {
      if (!shard.running) continue;
      // Without the signal: fetch leaves a listener on it until the next collection of garbage.
      const text = await (await fetch(`${shard.url}/metrics`)).text();
      if (!/^engram_checkpoint_age_seconds(\{.*\})? 0$/m.test(text)) return false;
    }
    return true;
  });
}

/**
 * Each space answers whole, has as many as it had, and finds what it is asked for. The client does not wait
 * as it does for users: its pauses between tries would be measured.
 */
async function served({ url }: FreshCluster, rows: Rows, spaces: number, signal: AbortSignal) {
  const client = new EngramClient({ url, retries: 0 });
  for (let space = 0; space < spaces; space++) {
    const name = spaceOf(space, spaces);
    const expected = Math.ceil((rows.count - space) / spaces);
    await until(`${name} is served`, signal, async () => {
      const query = { embedding: rows.embedding(space), k: 1 };
      const { results, degraded } = await client.recall(name, query, { signal });
      if (degraded || results[0]?.id !== `row-${space}`) return false;
      return (await client.space(name, { signal })).count === expected;
    });
  }
}

async function until(what: string, signal: AbortSignal, holds: () => Promise<boolean>) {
  const end = performance.now() + MS_MAX;
  for (;;) {
    const isThere = await holds().catch((error: unknown) => {
      if (error instanceof ClusterError && !signal.aborted) return false;
      throw error;
    });
    if (isThere) return;
    if (performance.now() >= end) throw new Error(`not within ${MS_MAX} ms: ${what}`);
    await pause(POLL_MS, undefined, { signal });
  }
}

function report(count: number, samples: Samples): GroupReport {
  const { stopped, killed, diskLost, takenOver } = samples;
  return {
    tables: [
      {
        title: `${count} observations, from a start or a kill until every space answers whole`,
        head: ['what happened', 'ms', 'goal'],
        rows: [
          [
            `the only shard stopped and started, ${DIMENSION}-d, data folder kept`,
            formatSpread(stopped, formatMs),
            '3,000',
          ],
          [
            `the only shard killed and started, ${DIMENSION}-d, data folder kept`,
            formatSpread(killed, formatMs),
            '3,000',
          ],
          [
            `the only shard killed and started, ${DIMENSION}-d, data folder lost`,
            formatSpread(diskLost, formatMs),
            '–',
          ],
          [
            `one of ${SHARDS} killed for good, ${WORD_DIMENSION}-d, ${SPACES} spaces, behind its lease`,
            formatSpread(takenOver, formatMs),
            '5,000',
          ],
        ],
      },
    ],
    notes: [
      'started: from the start of its process, with modules, connections and the ring',
      `behind its lease: from the kill, less the ${LEASE_MS} ms after which it is missed`,
    ],
    figures: (['stopped', 'killed', 'diskLost', 'takenOver'] as const).map((end) => ({
      name: `until every space answers whole: ${end}`,
      unit: 'ms' as const,
      better: 'lower' as const,
      samples: samples[end],
    })),
    data: { count, samples },
  };
}
