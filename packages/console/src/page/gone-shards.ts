// Shards that were in the cluster and are not any more: once its lease is over nobody else names one that died.

import type { ClusterStatus } from '@engram/client';
import { warning, type Check } from '@engram/diagnosis';

/** After which it was meant so. */
const TOLD_MS = 300_000;

export class GoneShards {
  readonly #lastSeen = new Map<string, { atMs: number; isLeaving: boolean }>();

  look({ members }: ClusterStatus): Check[] {
    const now = performance.now();
    const shards = members.filter(({ role }) => role === 'shard');
    for (const { id, state } of shards)
      this.#lastSeen.set(id, { atMs: now, isLeaving: state === 'leaving' });
    const checks: Check[] = [];
    for (const [id, { atMs, isLeaving }] of this.#lastSeen) {
      if (atMs === now) continue;
      // Who said good-bye is not missed.
      if (isLeaving || now - atMs > TOLD_MS) this.#lastSeen.delete(id);
      else
        checks.push(
          warning(
            'members',
            `${id} is not in the cluster any more, since ${Math.round((now - atMs) / 1_000)} s`,
            'it ended, or is cut off from Redis: look at its log, and start it again',
          ),
        );
    }
    return checks;
  }
}
