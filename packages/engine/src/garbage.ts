import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { MemoryState } from './memory-guard.ts';

/** A collection of everything takes tens of milliseconds: not more often than that. */
const INTERVAL_MS = { soft: 30_000, hard: 5_000 } as const;

let collect: (() => void) | undefined;
let collectedAtMs = -Infinity;

/**
 * Has this thread's heap collected now and then while memory is short. V8 gives memory back when it
 * allocates, and a thread that waits for memory does not: it would wait for what it holds itself.
 */
export function collectWhenShort(state: MemoryState): void {
  if (state === 'normal') return;
  const now = performance.now();
  if (now - collectedAtMs < INTERVAL_MS[state]) return;
  collectedAtMs = now;
  // The only way to it for a process that was started without the flag.
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
