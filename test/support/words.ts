import { readWords, WORD_DIMENSION } from '@engram/demo';

export interface WordSet {
  readonly words: readonly string[];
  readonly embeddings: readonly Float32Array[];
  /** Words that are not among the first, to search with. */
  readonly queries: readonly Float32Array[];
}

export { WORD_DIMENSION };

/** The first words of the demo data, and the next ones as held-out queries. */
export async function loadWords(count: number, queryCount: number): Promise<WordSet> {
  const words: string[] = [];
  const embeddings: Float32Array[] = [];
  for await (const { word, embedding } of readWords({ limit: count + queryCount })) {
    words.push(word);
    embeddings.push(embedding);
  }
  return {
    words: words.slice(0, count),
    embeddings: embeddings.slice(0, count),
    queries: embeddings.slice(count),
  };
}

/** Exact nearest words by cosine, in plain JavaScript that shares nothing with the product. */
export function exactNearest(set: WordSet, query: Float32Array, k: number): Set<string> {
  const scored = set.embeddings.map((embedding, row) => {
    let dot = 0;
    let squares = 0;
    embedding.forEach((value, i) => {
      dot += value * query[i]!;
      squares += value * value;
    });
    return { row, score: dot / Math.sqrt(squares) };
  });
  scored.sort((left, right) => right.score - left.score);
  return new Set(scored.slice(0, k).map(({ row }) => set.words[row]!));
}

/** Runs a task for each item, some at a time. */
export async function forEachParallel<T>(
  items: readonly T[],
  width: number,
  task: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < items.length) {
        const index = next++;
        await task(items[index]!, index);
      }
    }),
  );
}
