// The reference's "Memory Footprint" and "Memory Growth Over Time": a shard that gets a million observations,
// then nothing, then the same ids again and again.

import { setTimeout as pause } from 'node:timers/promises';
import { linearRegression } from 'simple-statistics';
import { CLOSED, clusterLoad } from '../cluster-load.ts';
import { onFreshCluster, type FreshCluster } from '../fresh-cluster.ts';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { memoryOf } from '../process-usage.ts';
import { formatRate, formatRecall } from '../samples.ts';
import { words } from '../vectors.ts';

const ROWS = 100_000;
const SPACES = 10;
const QUICK_ROWS = 10_000;
const QUICK_SPACES = 2;
const BATCH = 500;
const LOOK_MS = 1_000;
/** Nothing is written. */
const REST_MS = 90_000;
const QUICK_REST_MS = 5_000;
/** Of the rest: what is freed and written late is over by then. */
const STEADY_SHARE = 0.5;
const OVERWRITES = 4;
const QUICK_OVERWRITES = 1;
const MIB = 2 ** 20;
const MINUTE_MS = 60_000;

export const memory: Group = {
  name: 'memory',
  title: 'memory of a shard: by component, while a million observations come, and afterwards',
  run,
};

interface Look {
  readonly atMs: number;
  readonly observations: number;
  /** Resident, its parts of mapped files included. */
  readonly bytes: number;
  readonly privateBytes: number;
}

type Components = Readonly<Record<string, number>>;

interface Round {
  /** Resident. */
  readonly bytes: number;
  readonly components: Components;
}

interface Run {
  readonly looks: readonly Look[];
  /** When the last observation was in a graph. */
  readonly filledAtMs: number;
  /** MiB a minute, by least squares over the steady part of the rest. */
  readonly slope: number;
  /** After all was there once, and after each time that it was written again. */
  readonly rounds: readonly Round[];
  readonly recall: number;
}

async function run(context: GroupContext): Promise<GroupReport> {
  const { isQuick, signal } = context;
  const vectors = await words(isQuick ? QUICK_ROWS : ROWS, signal);
  const spaces = isQuick ? QUICK_SPACES : SPACES;
  const measured = await onFreshCluster(
    context,
    async (fresh): Promise<Run> => {
      const looking = new Looking(fresh);
      const { progress } = context;
      const load = (prefix: string) => {
        return clusterLoad(
          fresh,
          { vectors, spaces, spacesAtOnce: 4, prefix, batch: BATCH, pace: CLOSED },
          signal,
        );
      };
      try {
        progress(`${vectors.count * spaces} observations`);
        const { recall } = await load('load');
        const { observations } = await looking.look();
        if (observations < vectors.count * spaces)
          throw new Error(`only ${observations} observations are there`);
        const filledAtMs = looking.elapsedMs;
        progress('at rest');
        const restMs = isQuick ? QUICK_REST_MS : REST_MS;
        await pause(restMs, undefined, { signal });
        const rested = looking.looks.filter(
          ({ atMs }) => atMs >= filledAtMs + restMs * (1 - STEADY_SHARE),
        );
        const line = linearRegression(rested.map(({ atMs, bytes }) => [atMs, bytes]));
        const round = async (): Promise<Round> => ({
          bytes: (await looking.look()).bytes,
          components: await componentsOf(fresh),
        });
        const rounds = [await round()];
        for (let i = 0; i < (isQuick ? QUICK_OVERWRITES : OVERWRITES); i++) {
          progress(`the same ids again, ${i + 1}`);
          await load('load');
          // Longer than what is dead is kept for snapshots.
          await pause(restMs, undefined, { signal });
          rounds.push(await round());
        }
        return {
          looks: looking.looks,
          filledAtMs,
          slope: (line.m * MINUTE_MS) / MIB,
          rounds,
          recall,
        };
      } finally {
        await looking.end();
      }
    },
    1,
  );
  return report(measured, vectors.count * spaces, vectors.dimension);
}

/** Looks at the only shard each second. */
class Looking {
  readonly looks: Look[] = [];
  readonly #fresh: FreshCluster;
  readonly #since = performance.now();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(fresh: FreshCluster) {
    this.#fresh = fresh;
    this.#running = this.#run();
    // Told by `end`.
    this.#running.catch(() => undefined);
  }

  get elapsedMs(): number {
    return performance.now() - this.#since;
  }

  async look(): Promise<Look> {
    const { members } = await this.#fresh.client.cluster();
    const shard = members.find(({ role }) => role === 'shard');
    const look = {
      atMs: this.elapsedMs,
      observations: shard?.observations ?? NaN,
      bytes: memoryOf([this.#fresh.cluster.shards[0]!.pid]),
      privateBytes: shard?.privateBytes ?? NaN,
    };
    this.looks.push(look);
    return look;
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.look();
      await pause(LOOK_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}

/** Private memory by what has it, as the shard counts it. */
async function componentsOf({ cluster }: FreshCluster): Promise<Components> {
  const text = await (await fetch(`${cluster.shards[0]!.url}/metrics`)).text();
  const found = text.matchAll(/^engram_memory_component_bytes\{.*component="(\w+)".*\} (\S+)$/gm);
  const components = Object.fromEntries(
    [...found].map(([, name, value]) => [name!, Number(value)]),
  );
  const mapped = /^engram_index_memory_bytes\{.*kind="mapped".*\} (\S+)$/m.exec(text);
  return { ...components, 'mapped files': Number(mapped?.[1] ?? NaN) };
}

const GROWTH_ROWS = 12;

function report(
  { looks, filledAtMs, slope, rounds, recall }: Run,
  count: number,
  dimension: number,
): GroupReport {
  const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
  const { bytes: before, components } = rounds[0]!;
  const filled = looks.filter(({ atMs }) => atMs <= filledAtMs);
  const step = Math.max(1, Math.floor(filled.length / GROWTH_ROWS));
  const shown = filled.filter((_, i) => i % step === 0);
  return {
    tables: [
      {
        title: `a shard with ${formatRate(count)} observations of ${dimension} dimensions, recall@10 ${formatRecall(recall)}`,
        head: ['component', 'MiB', 'bytes each'],
        rows: Object.entries(components).map(([name, bytes]) => [
          name,
          mib(bytes),
          (bytes / count).toFixed(0),
        ]),
      },
      {
        title: 'growth',
        head: ['s', 'observations', 'resident MiB', 'private MiB', 'bytes each'],
        rows: shown.map(({ atMs, observations, bytes, privateBytes }) => [
          (atMs / 1_000).toFixed(0),
          formatRate(observations),
          mib(bytes),
          mib(privateBytes),
          observations === 0 ? '–' : ((bytes - looks[0]!.bytes) / observations).toFixed(0),
        ]),
      },
      {
        title: `afterwards, MiB; at rest it grew by ${slope.toFixed(2)} a minute`,
        head: ['written again', 'resident', ...Object.keys(components)],
        rows: rounds.map((round, i) => [
          `${i} times`,
          mib(round.bytes),
          ...Object.values(round.components).map(mib),
        ]),
      },
    ],
    notes: [
      'components: as the shard counts its private memory; mapped: pages of graph files that the kernel takes back when memory is short, and counts as resident while they are there',
      'resident: PSS of /proc, mapped pages included',
      'written again: each id with the same embedding, so that every row before it is dead and must go',
    ],
    figures: [
      {
        name: 'resident after all was written again, of before',
        unit: '×',
        better: 'lower',
        samples: rounds.slice(1).map(({ bytes }) => bytes / before),
      },
      {
        name: 'resident for an observation',
        unit: 'bytes',
        better: 'lower',
        samples: [(before - looks[0]!.bytes) / count],
      },
    ],
    data: { count, filledAtMs, slope, rounds, recall, looks },
  };
}
