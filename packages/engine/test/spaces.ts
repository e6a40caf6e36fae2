// Spaces as the log has them, beside the engine: entries with their sequences, and what must be in the
// index once they are applied.

import { embeddingOf, encodeFrame } from '@engram/codec';
import {
  fnv1a32,
  type Lane,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
} from '@engram/model';
import type { SpaceOptions } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { expect } from 'vitest';
import type { Applied, Entry, ShardEngine } from '../src/index.ts';
import { seededRandom } from '../../../test/support/random.ts';

/** Vectors in clusters, as embeddings of real things are. */
function vectors(dimension: number, seed: number): () => Float32Array {
  const random = seededRandom(seed);
  const noise = () => random() + random() + random() - 1.5;
  const centres = Array.from({ length: 24 }, () =>
    Float32Array.from({ length: dimension }, () => 2 * noise()),
  );
  return () =>
    centres[Math.floor(random() * centres.length)]!.map((value) => value + 0.6 * noise());
}

export function configOf(space: string, options: Partial<SpaceConfig> = {}): SpaceConfig {
  return {
    space: space as SpaceId,
    dimension: 16,
    metric: 'cosine',
    engine: 'usearch',
    quantization: 'i8',
    m: 8,
    efConstruction: 32,
    afterSequence: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
    ...options,
  };
}

/** Names of spaces that one of two workers has; checked where a worker is lost. */
export function namesOn(worker: number, count: number, prefix = 'space'): string[] {
  const names: string[] = [];
  for (let n = 0; names.length < count; n++) {
    const hash = fnv1a32(`${prefix}-${n}`);
    if (((hash >>> 16) ^ (hash >>> 8)) % 2 === worker) names.push(`${prefix}-${n}`);
  }
  return names;
}

interface Stored {
  readonly embedding: Float32Array;
  readonly sequence: number;
}

/** Sequences of one log. */
export class Log {
  sequence = 0;
}

/** One space: the entries that were written, and what they come to. */
export class Space {
  readonly config: SpaceConfig;
  readonly partition: PartitionId;
  readonly entries: Entry[] = [];
  readonly stored = new Map<string, Stored>();
  /** Every id that was ever put. */
  readonly written = new Set<string>();
  readonly #log: Log;
  readonly #next: () => Float32Array;

  constructor(
    log: Log,
    name: string,
    { partition = 0, seed = 1, ...options }: Partial<SpaceOptions> & Options = {},
  ) {
    this.#log = log;
    this.config = configOf(name, options);
    this.partition = partition as PartitionId;
    this.#next = vectors(this.config.dimension, seed + fnv1a32(name));
  }

  /** An entry that puts new embeddings under these ids, and deletes others. */
  write(
    puts: readonly string[],
    {
      deletes = [],
      lane = 'normal',
      note = '',
    }: { readonly deletes?: readonly string[]; readonly lane?: Lane; readonly note?: string } = {},
  ): Entry {
    const sequence = ++this.#log.sequence;
    const { dimension } = this.config;
    const embeddings = new Float32Array(puts.length * dimension);
    puts.forEach((id, i) => {
      const embedding = this.#next();
      embeddings.set(embedding, i * dimension);
      this.stored.set(id, { embedding, sequence });
      this.written.add(id);
    });
    for (const id of deletes) this.stored.delete(id);
    const frame = encodeFrame({
      dimension: puts.length === 0 ? 0 : dimension,
      ids: puts,
      deletes,
      embeddings,
      timestamps: puts.map(() => NaN),
      metadata: puts.map(() => JSON.stringify({ note })),
    });
    const bytes = new Uint8Array(new SharedArrayBuffer(frame.length));
    bytes.set(frame);
    const entry: Entry = {
      config: this.config,
      partition: this.partition,
      lane,
      sequence,
      kind: 'frame',
      bytes,
      observations: puts.length + deletes.length,
    };
    this.entries.push(entry);
    return entry;
  }

  /** Entries with so many new observations. */
  fill(count: number, perEntry = 20): Entry[] {
    const first = this.entries.length * 1_000_000;
    const entries: Entry[] = [];
    for (let from = 0; from < count; from += perEntry) {
      const ids = Array.from(
        { length: Math.min(perEntry, count - from) },
        (_, i) => `row-${first + from + i}`,
      );
      entries.push(this.write(ids));
    }
    return entries;
  }

  embedding(): Float32Array {
    return this.#next();
  }

  /** The nearest by a look at every one. */
  nearest(query: Float32Array, k: number): string[] {
    return [...this.stored]
      .map(([id, { embedding }]) => ({ id, score: cosine(embedding, query) }))
      .sort((left, right) => right.score - left.score)
      .slice(0, k)
      .map(({ id }) => id);
  }
}

interface Options {
  readonly partition?: number;
  readonly seed?: number;
  readonly afterSequence?: number;
}

function cosine(left: Float32Array, right: Float32Array): number {
  let [dot, ll, rr] = [0, 0, 0];
  for (let i = 0; i < left.length; i++) {
    dot += left[i]! * right[i]!;
    ll += left[i]! ** 2;
    rr += right[i]! ** 2;
  }
  return dot / Math.sqrt(ll * rr);
}

/** Gives an entry to the engine, as soon as its lane has room. */
export async function feed(
  engine: ShardEngine,
  entry: Entry,
  options: { readonly isReplay?: boolean } = {},
): Promise<Applied> {
  for (;;) {
    const applied = engine.apply(entry, options);
    if (applied !== undefined) return applied;
    await systemClock.sleep(1);
  }
}

export function feedAll(engine: ShardEngine, entries: Iterable<Entry>): Promise<Applied[]> {
  return Promise.all([...entries].map((entry) => feed(engine, entry)));
}

/** The engine has what the space must have, each observation once and as it was written last. */
export async function expectSame(engine: ShardEngine, space: Space): Promise<void> {
  const { config, stored } = space;
  const ids = [...space.written];
  const found = await Promise.all(ids.map((id) => engine.get(config, id)));
  const differing = ids.filter((id, i) => {
    const expected = stored.get(id);
    const actual = found[i];
    if (expected === undefined || actual === undefined) return expected !== actual;
    if (actual.sequence !== expected.sequence) return true;
    const embedding = embeddingOf(actual.embedding!);
    return !embedding.every((value, at) => value === expected.embedding[at]);
  });
  expect({ space: config.space, differing }).toEqual({ space: config.space, differing: [] });
  expect((await engine.stats(config)).count).toBe(stored.size);
}

/** Share of the ten nearest that a recall finds; no recall may answer an id twice. */
export async function recallAtTen(
  engine: ShardEngine,
  space: Space,
  queries: number,
): Promise<number> {
  let [found, wanted] = [0, 0];
  for (let i = 0; i < queries; i++) {
    const embedding = space.embedding();
    const right = new Set(space.nearest(embedding, 10));
    const hits = await engine.recall({ config: space.config, embedding, k: 10, include: [] });
    expect(new Set(hits.map(({ id }) => id)).size).toBe(hits.length);
    expect(hits.length).toBe(right.size);
    found += hits.filter(({ id }) => right.has(id)).length;
    wanted += right.size;
  }
  return wanted === 0 ? 1 : found / wanted;
}
