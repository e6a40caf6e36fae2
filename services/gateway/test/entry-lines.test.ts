import { encodeFrame } from '@engram/codec';
import type { SpaceConfig, SpaceId } from '@engram/model';
import { expect, test } from 'vitest';
import { linesOf, type TailedEntry } from '../src/tail/entry-lines.ts';

const CONFIG: SpaceConfig = {
  space: 'notes' as SpaceId,
  dimension: 2,
  metric: 'cosine',
  engine: 'usearch',
  quantization: 'i8',
  m: 16,
  efConstruction: 64,
  afterSequence: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
};

function told(bytes: Uint8Array | string, withEmbeddings = false) {
  const entry: TailedEntry = {
    sequence: 9,
    lane: 'low',
    storedAtMs: 0,
    contentType: undefined,
    bytes: new Uint8Array(typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
  };
  return [...linesOf(entry, CONFIG, withEmbeddings)];
}

const COMMON = { sequence: 9, lane: 'low', time: '1970-01-01T00:00:00.000Z' };

test('a frame tells its sound puts, the first of each id, then its deletes, then what is rejected', () => {
  const frame = encodeFrame({
    dimension: 2,
    ids: ['a', 'b', 'a', 'zero'],
    deletes: ['old'],
    embeddings: Float32Array.of(1, 2, 3, 4, 5, 6, 0, 0),
    timestamps: [NaN, 7, NaN, NaN],
    metadata: ['{"n":1}', undefined, undefined, undefined],
  });
  expect(told(frame, true)).toEqual([
    { ...COMMON, op: 'put', id: 'a', metadata: { n: 1 }, embedding: [1, 2] },
    { ...COMMON, op: 'put', id: 'b', timestamp: 7, embedding: [3, 4] },
    { ...COMMON, op: 'delete', id: 'old' },
    { ...COMMON, op: 'rejected', count: 2 },
  ]);
});

test('JSON of any number of observations is told without embeddings unless they are asked for', () => {
  const observations = Array.from({ length: 3 }, (_, i) => ({ id: `o${i}`, embedding: [i, 1] }));
  const bytes = JSON.stringify({ observations: [...observations, { id: 'x', embedding: [1] }] });
  expect(told(bytes)).toEqual([
    ...observations.map(({ id }) => ({ ...COMMON, op: 'put', id })),
    { ...COMMON, op: 'rejected', count: 1 },
  ]);
});

test('what cannot be read is one line', () => {
  expect(told('{')).toEqual([{ ...COMMON, op: 'rejected', count: 1 }]);
  expect(told('ENGF')).toEqual([{ ...COMMON, op: 'rejected', count: 1 }]);
});
