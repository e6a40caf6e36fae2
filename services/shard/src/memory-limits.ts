// How much memory a shard may take, and what it says when that is short.

import type { MemoryLimits, MemoryState } from '@engram/engine';
import { ClusterError } from '@engram/model';
import type { Logger } from '@engram/runtime';
import type { ShardConfig } from './config.ts';

/** What a shard takes without data grows by about half once it works. */
const ROOM_FACTOR = 1.5;

const MEMORY_TOLD = {
  normal: 'there is memory again',
  soft: 'memory is above ENGRAM_MEMORY_SOFT_BYTES: the lane low waits in the log',
  hard: 'memory is at ENGRAM_MEMORY_HARD_BYTES: all but deletes waits in the log, replays too',
} as const;

export function memoryLimits(config: ShardConfig): MemoryLimits {
  return {
    softBytes: config.ENGRAM_MEMORY_SOFT_BYTES,
    hardBytes: config.ENGRAM_MEMORY_HARD_BYTES,
  };
}

/** @throws ClusterError MEMORY_LIMIT where an empty shard has no room for anything */
export function requireRoom({ softBytes }: MemoryLimits, emptyBytes: number): void {
  if (emptyBytes * ROOM_FACTOR < softBytes) return;
  throw new ClusterError(
    'MEMORY_LIMIT',
    `ENGRAM_MEMORY_SOFT_BYTES is ${softBytes}, and an empty shard takes ${emptyBytes}`,
    { hint: `at least ${ROOM_FACTOR} times as much is needed to work` },
  );
}

export function tellMemory(
  logger: Logger,
  limits: MemoryLimits,
): (state: MemoryState, privateBytes: number) => void {
  return (state, privateBytes) => {
    const told = { memory: state, privateBytes, ...limits };
    if (state === 'normal') logger.info(told, MEMORY_TOLD.normal);
    else logger.warn(told, MEMORY_TOLD[state]);
  };
}
