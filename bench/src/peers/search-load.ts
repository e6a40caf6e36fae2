// The same searches for every side: some clients, each with its next query as soon as it was answered.

import { setImmediate as turn } from 'node:timers/promises';
import type { Search, SearchSetting } from './peer.ts';

/** Answers between two looks at what else there is. */
const TURN = 100;

export interface SearchLoad {
  readonly setting: SearchSetting;
  readonly clients: number;
  /** How long queries are begun; without it each is asked once. */
  readonly durationMs?: number;
  /** Only so many of the queries. */
  readonly first?: number;
}

export interface SearchTally {
  readonly elapsedMs: number;
  readonly latenciesMs: readonly number[];
  /** For each query its latest answer; queries that were not reached have none. */
  readonly found: readonly (readonly number[] | undefined)[];
}

/** @param searches one of each client */
export async function searchLoad(
  searches: readonly Search[],
  queries: readonly Float32Array[],
  { setting, durationMs, first = queries.length }: SearchLoad,
  signal?: AbortSignal,
): Promise<SearchTally> {
  const latenciesMs: number[] = [];
  const found: (readonly number[] | undefined)[] = Array.from({ length: first });
  const startedAt = performance.now();
  let next = 0;
  const isOver = (): boolean =>
    durationMs === undefined ? next >= first : performance.now() - startedAt >= durationMs;
  const client = async (search: Search): Promise<void> => {
    while (!isOver()) {
      signal?.throwIfAborted();
      const at = next++ % first;
      const begunAt = performance.now();
      found[at] = await search(queries[at]!, setting);
      latenciesMs.push(performance.now() - begunAt);
      // A library answers without leaving the thread, which would hear of no signal then.
      if (latenciesMs.length % TURN === 0) await turn();
    }
  };
  await Promise.all(searches.map(client));
  return { elapsedMs: performance.now() - startedAt, latenciesMs, found };
}
