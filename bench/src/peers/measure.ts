// One side, measured from its first write until it answers again after a kill.

import { setTimeout as pause } from 'node:timers/promises';
import { latencyOf, type Latency } from '../latency.ts';
import { cpuMsOf, memoryOf } from '../process-usage.ts';
import { mean } from '../samples.ts';
import { rowRecall, type Vectors } from '../vectors.ts';
import { untilAborted, type Disk, type Peer, type PeerContext, type Running } from './peer.ts';
import type { SearchLoad, SearchTally } from './search-load.ts';

const RECALL_GOAL = 0.95;
/** In flight at one time. */
export const CLIENTS = [1, 8] as const;
/** All settings are tried with so many. */
const TRY_CLIENTS = 4;
/** Until what was only needed for writing is given back. */
const GIVE_BACK_MS = 1_000;
/** Recall@10 of one answer: nine of the ten. */
const RIGHT = 0.9;
const REOPEN_POLL_MS = 2;
const REOPEN_MS_MAX = 120_000;
const REOPEN_TRIES = 3;

export interface Effort {
  readonly searchMs: number;
  /** Queries by which settings are tried. */
  readonly triedQueries: number;
  /** Of what is not counted, before. */
  readonly warmUpMs: number;
  /** Whether it is killed and started again at the end, as written and rested. */
  readonly isKilled: boolean;
  readonly isRested: boolean;
  /** Whether all is written once more at the end, where that is told. */
  readonly isWrittenAgain: boolean;
}

interface Searched {
  readonly clients: number;
  readonly perSecond: number;
  readonly perCpuSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Measured {
  readonly perSecond: number;
  /** Of all processes and of the client in this one. */
  readonly perCpuSecond: number;
  readonly setting: string;
  /** Below the goal when no setting reached it. */
  readonly recall: number;
  readonly searched: readonly Searched[];
  /** Grown for each observation, of all processes and of those that hold the rows. */
  readonly memoryEach: number;
  readonly storeMemoryEach: number;
  /** As written, before anything was put in order. */
  readonly disk: Disk;
  /** Of the same written once more. */
  readonly again?: Again;
  readonly killed?: Killed;
}

export interface Again {
  readonly perCpuSecond: number;
  /** Grown by it alone. */
  readonly storeMemoryEach: number;
}

export interface Killed {
  readonly writtenMs: number;
  readonly restedMs: readonly number[];
  readonly restedDisk: Disk | undefined;
}

export function measured(peer: Peer, context: PeerContext, effort: Effort): Promise<Measured> {
  return peer.whileRunning(context, async (running) => {
    const { vectors, signal } = context;
    const before = {
      all: memoryOf(running.pids()),
      store: memoryOf(running.storePids()),
      disk: await running.disk(),
    };
    const written = await timed(running, () => untilAborted(running.load(), signal));
    const { setting, recall } = await narrowest(peer, running, vectors, effort);
    // Compiles the code on both ends, and opens the connections.
    await running.ask({ setting, clients: Math.max(...CLIENTS), durationMs: effort.warmUpMs });
    const searched: Searched[] = [];
    for (const clients of CLIENTS)
      searched.push(await search(running, { setting, clients, durationMs: effort.searchMs }));
    const memoryEach = (memoryOf(running.pids()) - before.all) / vectors.count;
    const storeMemoryEach = (memoryOf(running.storePids()) - before.store) / vectors.count;
    const disk = grown(before.disk, await running.disk());
    const again = effort.isWrittenAgain ? await writtenAgain(running, context) : undefined;
    const ended = effort.isKilled ? await killed(peer, running, context, effort) : undefined;
    return {
      perSecond: (vectors.count * 1_000) / written.elapsedMs,
      perCpuSecond: (vectors.count * 1_000) / written.cpuMs,
      setting: setting.label,
      recall,
      searched,
      memoryEach,
      storeMemoryEach,
      disk,
      ...(again && { again }),
      ...(ended && {
        killed: { ...ended, restedDisk: ended.restedDisk && grown(before.disk, ended.restedDisk) },
      }),
    };
  });
}

/** Undefined for sides that are not written to once more. */
async function writtenAgain(
  running: Running,
  { vectors: { count }, signal }: PeerContext,
): Promise<Again | undefined> {
  if (running.loadAgain === undefined) return undefined;
  const before = memoryOf(running.storePids());
  const { cpuMs } = await timed(running, () => untilAborted(running.loadAgain!(), signal));
  await pause(GIVE_BACK_MS, undefined, { signal });
  return {
    perCpuSecond: (count * 1_000) / cpuMs,
    storeMemoryEach: (memoryOf(running.storePids()) - before) / count,
  };
}

async function timed<T>(running: Running, work: () => Promise<T>) {
  const cpuBefore = cpuMsOf(running.pids());
  const ownBefore = process.cpuUsage();
  const startedAt = performance.now();
  const result = await work();
  const elapsedMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(ownBefore);
  const cpuMs = cpuMsOf(running.pids()) - cpuBefore + (user + system) / 1_000;
  return { result, elapsedMs, cpuMs };
}

/** The first setting that reaches the goal, or the last one. */
async function narrowest(
  peer: Peer,
  running: Running,
  vectors: Vectors,
  { triedQueries: first }: Effort,
) {
  let reached: { setting: SearchLoad['setting']; recall: number } | undefined;
  for (const setting of peer.settings) {
    const tally = await running.ask({ setting, clients: TRY_CLIENTS, first });
    reached = { setting, recall: recallOf(vectors, tally) };
    if (reached.recall >= RECALL_GOAL) break;
  }
  if (reached === undefined) throw new Error(`${peer.name} has no search setting`);
  return reached;
}

/** Mean recall@10 of the queries that were answered. */
function recallOf(vectors: Vectors, { found }: SearchTally): number {
  return mean(found.flatMap((rows, at) => (rows ? rowRecall(vectors, at, rows) : [])));
}

async function search(running: Running, load: SearchLoad): Promise<Searched> {
  const { result, elapsedMs, cpuMs } = await timed(running, () => running.ask(load));
  const count = result.latenciesMs.length;
  const { p50Ms, p99Ms }: Latency = latencyOf(
    result.latenciesMs.map((latencyMs) => ({ latencyMs, recall: undefined })),
  )!;
  return {
    clients: load.clients,
    perSecond: (count * 1_000) / elapsedMs,
    perCpuSecond: (count * 1_000) / cpuMs,
    p50Ms,
    p99Ms,
  };
}

/** Once as it is, and some times after it has put its files in order. */
async function killed(
  peer: Peer,
  running: Running,
  context: PeerContext,
  { isRested }: Effort,
): Promise<Killed> {
  const writtenMs = await reopened(peer, running, context);
  if (!isRested) return { writtenMs, restedMs: [], restedDisk: undefined };
  await untilAborted(running.rest(), context.signal);
  const restedDisk = await running.disk();
  const restedMs: number[] = [];
  for (let i = 0; i < REOPEN_TRIES; i++) restedMs.push(await reopened(peer, running, context));
  return { writtenMs, restedMs, restedDisk };
}

/** Without what it takes when it is empty. */
function grown(before: Disk, now: Disk): Disk {
  return {
    storeBytes: now.storeBytes - before.storeBytes,
    logBytes: now.logBytes - before.logBytes,
  };
}

/** From the start of its processes to the first right answer. */
async function reopened(peer: Peer, running: Running, context: PeerContext): Promise<number> {
  const { vectors, signal } = context;
  await running.kill();
  const startedAt = performance.now();
  await untilAborted(running.start(), signal);
  const setting = peer.settings.at(-1)!;
  for (;;) {
    const recall = await running.ask({ setting, clients: 1, first: 1 }).then(
      (tally) => recallOf(vectors, tally),
      () => 0, // it does not answer yet
    );
    if (recall >= RIGHT) return performance.now() - startedAt;
    signal.throwIfAborted();
    if (performance.now() - startedAt > REOPEN_MS_MAX)
      throw new Error(`${peer.name} did not answer rightly within ${REOPEN_MS_MAX} ms`);
    await pause(REOPEN_POLL_MS, undefined, { signal });
  }
}
