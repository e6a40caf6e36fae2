import { setImmediate as turn } from 'node:timers/promises';
import { readWords, WORD_DIMENSION, type Word } from '@engram/demo';
import { dot, norm, TopK } from '@engram/vector-index';

export const K = 10;
export const QUERY_COUNT = 500;
/** So many searches take some ten milliseconds; a signal waits no longer than that. */
const SEARCHES_A_TURN = 25;

/** English words, the most frequent first, and words behind them that were not imported. */
export interface Dataset {
  readonly words: readonly Word[];
  readonly queries: readonly Float32Array[];
  /** For each query the K words that are nearest by cosine, by an exact scan. */
  readonly nearest: readonly ReadonlySet<string>[];
}

export async function loadDataset(count: number, signal: AbortSignal): Promise<Dataset> {
  const all = await readFirst(count + QUERY_COUNT);
  const words = all.slice(0, count);
  const queries = all.slice(count).map(({ embedding }) => embedding);
  return { words, queries, nearest: await exactNearest(words, queries, signal) };
}

/** The `count` most frequent words. */
export async function readFirst(count: number): Promise<Word[]> {
  const words: Word[] = [];
  for await (const word of readWords({ limit: count })) words.push(word);
  if (words.length === count) return words;
  throw new RangeError(`there are only ${words.length} words, ${count} are needed`);
}

/** The K nearest words of each query by cosine. */
export async function exactNearest(
  words: readonly Word[],
  queries: readonly Float32Array[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>[]> {
  const slab = new Float32Array(words.length * WORD_DIMENSION);
  words.forEach(({ embedding }, row) => slab.set(embedding, row * WORD_DIMENSION));
  const norms = words.map((_, row) => norm(slab, row * WORD_DIMENSION, WORD_DIMENSION));
  const nearest: ReadonlySet<string>[] = [];
  for (const [index, query] of queries.entries()) {
    if (index % SEARCHES_A_TURN === 0) await turn(undefined, { signal });
    const best = new TopK(K);
    // The query's own norm is the same for every row and so does not change their order.
    for (let row = 0; row < words.length; row++)
      best.offer(row, dot(slab, row * WORD_DIMENSION, query, WORD_DIMENSION) / norms[row]!);
    nearest.push(new Set(best.drain().map(({ row }) => words[row]!.word)));
  }
  return nearest;
}

/** recall@10 of one answer: the part of the exact nearest that was found. */
export function recallOf(found: Iterable<string>, exact: ReadonlySet<string>): number {
  let hits = 0;
  for (const word of found) if (exact.has(word)) hits++;
  return hits / exact.size;
}
