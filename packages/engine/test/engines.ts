import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { perLane, type ClusterError, type PartitionId, type SpaceId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { onTestFinished } from 'vitest';
import { ShardEngine, type ShardEngineOptions } from '../src/index.ts';

export interface Lost {
  readonly partitions: readonly PartitionId[];
  readonly spaces: readonly SpaceId[];
}

/** What an engine told, in order. */
interface Told {
  readonly crashes: { readonly worker: number; readonly error: ClusterError }[];
  readonly lost: Lost[];
  readonly failures: ClusterError[];
  readonly faults: string[];
}

export interface TestEngine {
  readonly engine: ShardEngine;
  readonly told: Told;
  readonly dataDir: string;
}

/** The thread that can be ended; see there. */
export const CRASHING = new URL('./fixtures/crashing.mjs', import.meta.url);

const SHARED_MEMORY = '/dev/shm';
const ROOM_BYTES = 256 * 1024 * 1024;

/** Thousands of small files take a disk seconds that say nothing about the engine. */
function fastFolder(): string {
  if (!existsSync(SHARED_MEMORY)) return tmpdir();
  const { bavail, bsize } = statfsSync(SHARED_MEMORY);
  return bavail * bsize < ROOM_BYTES ? tmpdir() : SHARED_MEMORY;
}

/** A folder that is gone after the test. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(fastFolder(), 'engram-engine-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * An engine with two workers, small graphs and small segments that is closed after the test. Nothing
 * is stolen and nothing unloaded unless asked for.
 */
export async function startEngine(
  options: Partial<ShardEngineOptions> & { readonly onLost?: (lost: Lost) => void } = {},
): Promise<TestEngine> {
  const told: Told = { crashes: [], lost: [], failures: [], faults: [] };
  const dataDir = options.dataDir ?? scratchFolder();
  const engine = await ShardEngine.start({
    dataDir,
    workers: 2,
    lanes: perLane(() => ({ observations: 20_000, bytes: 64 * 1024 * 1024 })),
    minBatch: 2,
    maxBatch: 50,
    stealThreshold: 1_000_000_000,
    idleSleepMs: 1,
    memory: { softBytes: 2 ** 50, hardBytes: 2 ** 51 },
    graphThreshold: 200,
    segmentBytesMax: 64 * 1024,
    idleUnloadMs: 1_000_000_000,
    snapshotKeepMs: 0,
    clock: systemClock,
    entry: new URL('../dist/worker/main.js', import.meta.url),
    events: {
      onCrash: (crash) => told.crashes.push(crash),
      onLost: (partitions, spaces) => {
        told.lost.push({ partitions, spaces });
        options.onLost?.({ partitions, spaces });
      },
      onFailed: (error) => told.failures.push(error),
      onFault: (message) => told.faults.push(message),
    },
    ...options,
  });
  onTestFinished(() => engine.close(), 60_000);
  return { engine, told, dataDir };
}
