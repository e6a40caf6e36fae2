// Sets of vectors for what runs without a cluster: one slab, queries that are not in it, and the exact
// answers.

import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { seededRandom } from '@engram/capacity';
import { WORD_DIMENSION } from '@engram/demo';
import { norm, scan } from '@engram/vector-index';
import { cached } from './cache.ts';
import { K, readFirst, recallOf } from './dataset.ts';
import { SENTENCE_DIMENSION, sentenceVectors } from './sentences.ts';

export interface Vectors {
  readonly name: string;
  readonly dimension: number;
  readonly count: number;
  /** `count` embeddings, one after another, each of length 1. */
  readonly slab: Float32Array<ArrayBuffer>;
  readonly queries: readonly Float32Array[];
  /** For each query the K nearest rows by cosine. */
  readonly nearest: readonly ReadonlySet<number>[];
}

const QUERIES = 200;
const CENTRES = 200;
/** Of the noise around a centre, against a spread of 1 between centres. */
const NOISE = 0.7;

/** Vectors in clusters, as embeddings of real things are; the same for the same seed. */
export async function clustered(
  count: number,
  dimension: number,
  signal: AbortSignal,
  seed = 12_345,
): Promise<Vectors> {
  const random = seededRandom(seed);
  const gauss = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const centres = Float32Array.from({ length: CENTRES * dimension }, gauss);
  const all = new Float32Array((count + QUERIES) * dimension);
  for (let row = 0; row < count + QUERIES; row++) {
    if (row % 1_000 === 0) await turn(undefined, { signal });
    const centre = Math.floor(random() * CENTRES) * dimension;
    for (let i = 0; i < dimension; i++)
      all[row * dimension + i] = centres[centre + i]! + NOISE * gauss();
  }
  return vectorsOf(`clustered ${dimension}-d (seed ${seed})`, all, count, dimension, signal);
}

/** The most frequent English words; the queries are the words behind them. */
export async function words(count: number, signal: AbortSignal): Promise<Vectors> {
  const dimension = WORD_DIMENSION;
  const read = await readFirst(count + QUERIES);
  const all = new Float32Array(read.length * dimension);
  read.forEach(({ embedding }, row) => all.set(embedding, row * dimension));
  return vectorsOf(`English words ${dimension}-d`, all, count, dimension, signal);
}

/** Definitions of nouns, encoded; the queries are definitions of other nouns. */
export async function sentences(
  count: number,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<Vectors> {
  const all = await sentenceVectors(count + QUERIES, signal, progress);
  const name = `sentences ${SENTENCE_DIMENSION}-d`;
  return vectorsOf(name, all, count, SENTENCE_DIMENSION, signal);
}

async function vectorsOf(
  name: string,
  all: Float32Array<ArrayBuffer>,
  count: number,
  dimension: number,
  signal: AbortSignal,
): Promise<Vectors> {
  for (let row = 0; row < all.length / dimension; row++) {
    const embedding = all.subarray(row * dimension, (row + 1) * dimension);
    const length = norm(all, row * dimension, dimension) || 1;
    for (let i = 0; i < dimension; i++) embedding[i]! /= length;
  }
  const slab = all.slice(0, count * dimension);
  const queries = Array.from({ length: QUERIES }, (_, i) =>
    all.slice((count + i) * dimension, (count + i + 1) * dimension),
  );
  // By what they are made of: whatever changes the vectors changes the name.
  const hash = createHash('sha256').update(all).update(String(count)).digest('hex').slice(0, 32);
  const rows = await cached(`nearest-${hash}`, isNearest, async () => {
    const nearest: number[][] = [];
    for (const query of queries) {
      await turn(undefined, { signal });
      nearest.push([...scan(slab, count, query, K, 'cosine')]);
    }
    return nearest;
  });
  return { name, dimension, count, slab, queries, nearest: rows.map((row) => new Set(row)) };
}

function isNearest(value: unknown): value is number[][] {
  return (
    Array.isArray(value) &&
    value.length === QUERIES &&
    value.every((rows) => Array.isArray(rows) && rows.every(Number.isInteger))
  );
}

/** recall@10 of an answer given as row numbers. */
export function rowRecall(vectors: Vectors, query: number, rows: Iterable<number>): number {
  return recallOf([...rows].map(String), new Set([...vectors.nearest[query]!].map(String)));
}
