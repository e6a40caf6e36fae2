import { decodeFrame, encodeFrame, type Frame } from '@engram/codec';
import { compileFilter, type SpaceConfig, type SpaceId, type SpaceOptions } from '@engram/model';
import { ENGINE_DEFAULTS, type EngineOptions } from '../src/options.ts';
import { UNHURRIED } from '../src/pace.ts';
import type { RecallQuery } from '../src/space-engine.ts';
import { seededRandom } from '../../../test/support/random.ts';

export interface Put {
  readonly id: string;
  readonly embedding: readonly number[] | Float32Array;
  readonly metadata?: unknown;
  readonly timestamp?: number;
}

/** A frame as the log would carry it. */
export function frameOf(puts: readonly Put[], deletes: readonly string[] = []): Frame {
  const dimension = puts[0]?.embedding.length ?? 0;
  const slab = new Float32Array(puts.length * dimension);
  puts.forEach(({ embedding }, i) => slab.set(embedding, i * dimension));
  return decodeFrame(
    encodeFrame({
      dimension,
      ids: puts.map(({ id }) => id),
      deletes,
      embeddings: slab,
      timestamps: puts.map(({ timestamp }) => timestamp ?? NaN),
      metadata: puts.map(({ metadata }) =>
        metadata === undefined ? undefined : JSON.stringify(metadata),
      ),
    }),
  );
}

export function configOf(options: Partial<SpaceOptions> & { dimension: number }): SpaceConfig {
  return {
    metric: 'cosine',
    engine: 'usearch',
    quantization: 'i8',
    m: 16,
    efConstruction: 64,
    ...options,
    space: 'test' as SpaceId,
    afterSequence: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
  };
}

/** A filter as a worker makes it of what a client sent. */
export function filterOf(filter: unknown): NonNullable<RecallQuery['filter']> {
  return { key: JSON.stringify(filter), predicate: compileFilter(filter) };
}

export function optionsOf(folder: string, options: Partial<EngineOptions> = {}): EngineOptions {
  return {
    ...ENGINE_DEFAULTS,
    folder,
    pace: UNHURRIED,
    onFault: (error) => {
      throw error;
    },
    ...options,
  };
}

/** Vectors in clusters, as embeddings of real things are. */
export function clustered(count: number, dimension: number, seed: number): Float32Array[] {
  const random = seededRandom(seed);
  const noise = () => random() + random() + random() - 1.5;
  const centres = Array.from({ length: 32 }, () =>
    Float32Array.from({ length: dimension }, () => 2 * noise()),
  );
  return Array.from({ length: count }, () => {
    const centre = centres[Math.floor(random() * centres.length)]!;
    return centre.map((value) => value + 0.6 * noise());
  });
}
