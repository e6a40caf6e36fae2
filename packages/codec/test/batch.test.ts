import { LANES, LIMITS, type Lane } from '@engram/model';
import { pack } from 'msgpackr';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeBatch,
  encodeDeletes,
  FRAME_BYTES_MAX,
  type BatchItem,
  type BatchOptions,
} from '../src/batch.ts';
import { readItems } from '../src/body.ts';
import { decodeFrame } from '../src/frame.ts';
import { metadataTextFault } from '../src/metadata.ts';

const OPTIONS: BatchOptions = { dimension: 3, metric: 'cosine' };

const itemsOf = (values: readonly unknown[]): BatchItem[] =>
  values.map((value, index) => ({ value, pointer: `/observations/${index}` }));

/** Every observation in the frames of a batch, by lane and in order. */
function read({ frames }: ReturnType<typeof encodeBatch>) {
  const lanes: Record<Lane, unknown[]> = { high: [], normal: [], low: [] };
  for (const { lane, bytes, count } of frames) {
    const frame = decodeFrame(bytes);
    expect(frame.putCount).toBe(count);
    expect(frame.deleteCount).toBe(0);
    for (let i = 0; i < frame.putCount; i++)
      lanes[lane].push({
        id: frame.id(i),
        embedding: [...frame.embeddings.subarray(i * frame.dimension, (i + 1) * frame.dimension)],
        metadata: frame.metadata(i),
        timestamp: frame.timestamps[i],
      });
  }
  return lanes;
}

const bad = fc.constantFrom<readonly [unknown, string]>(
  [null, 'INVALID_BODY'],
  [[1, 2], 'INVALID_BODY'],
  ['text', 'INVALID_BODY'],
  [{ id: 'bad', embedding: [1, 2, 3], vector: 1 }, 'INVALID_BODY'],
  [{ embedding: [1, 2, 3] }, 'INVALID_ID'],
  [{ id: 7, embedding: [1, 2, 3] }, 'INVALID_ID'],
  [{ id: '\u0000', embedding: [1, 2, 3] }, 'INVALID_ID'],
  [{ id: 'bad' }, 'INVALID_EMBEDDING'],
  [{ id: 'bad', embedding: [1, 2] }, 'DIMENSION_MISMATCH'],
  [{ id: 'bad', embedding: [1, NaN, 2] }, 'INVALID_EMBEDDING'],
  [{ id: 'bad', embedding: [0, 0, 0] }, 'ZERO_EMBEDDING'],
  [{ id: 'bad', embedding: [1, 2, 3], metadata: [] }, 'INVALID_METADATA'],
  [{ id: 'bad', embedding: [1, 2, 3], timestamp: 1.5 }, 'INVALID_TIMESTAMP'],
  [{ id: 'bad', embedding: [1, 2, 3], timestamp: '2026' }, 'INVALID_TIMESTAMP'],
  [{ id: 'bad', embedding: [1, 2, 3], timestamp: 8.65e15 }, 'INVALID_TIMESTAMP'],
  [{ id: 'bad', embedding: [1, 2, 3], lane: 'urgent' }, 'INVALID_LANE'],
);

const good = fc.record({
  id: fc.integer({ min: 0, max: 30 }).map((n) => `id-${n}-é`),
  embedding: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 3, maxLength: 3 }),
  metadata: fc.option(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string()), {
    nil: undefined,
  }),
  timestamp: fc.option(fc.integer(), { nil: undefined }),
  lane: fc.option(fc.constantFrom(...LANES), { nil: undefined }),
});

const mixed = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: good.map((value) => ({ value: value, code: undefined })) },
    { weight: 1, arbitrary: bad.map(([value, code]) => ({ value, code })) },
  ),
  { maxLength: 40, size: 'max' },
);

describe('a batch', () => {
  test('keeps every good observation once and in order in its lane, and reports exactly the others', () => {
    const frameBytesMax = fc.constantFrom(120, 300, 5_000);
    fc.assert(
      fc.property(mixed, frameBytesMax, fc.constantFrom(...LANES), (given, bytesMax, lane) => {
        const batch = encodeBatch(itemsOf(given.map(({ value }) => value)), {
          ...OPTIONS,
          lane,
          frameBytesMax: bytesMax,
        });
        const expected: Record<Lane, unknown[]> = { high: [], normal: [], low: [] };
        const errors: [number, string, string | undefined][] = [];
        const seen = new Set<string>();
        given.forEach(({ value, code }, index) => {
          const each = value as { id: string; embedding: number[]; lane?: Lane } & Record<
            'metadata' | 'timestamp',
            unknown
          >;
          if (code !== undefined)
            errors.push([index, code, each?.id === 'bad' ? 'bad' : undefined]);
          else if (seen.has(each.id)) errors.push([index, 'DUPLICATE_ID', each.id]);
          else {
            seen.add(each.id);
            expected[each.lane ?? lane].push({
              id: each.id,
              embedding: each.embedding,
              metadata: each.metadata === undefined ? undefined : JSON.stringify(each.metadata),
              timestamp: each.timestamp ?? NaN,
            });
          }
        });
        expect(read(batch)).toEqual(expected);
        expect(batch.errors.map(({ index, code, id }) => [index, code, id])).toEqual(errors);
        expect(batch.accepted).toBe(given.length - errors.length);
        for (const { index, pointer } of batch.errors)
          expect(pointer!.startsWith(`/observations/${index}`)).toBe(true);
        for (const { bytes, count } of batch.frames)
          if (count > 1) expect(bytes.length).toBeLessThanOrEqual(bytesMax);
      }),
    );
  });

  test('symptom: a frame of three-byte characters was larger than the bound', () => {
    const items = Array.from({ length: 40 }, (_, i) => ({
      id: '語'.repeat(5) + String.fromCodePoint(0x4e00 + i),
      embedding: [1, 2, 3],
    }));
    for (let frameBytesMax = 100; frameBytesMax < 400; frameBytesMax++) {
      const { frames, accepted } = encodeBatch(itemsOf(items), { ...OPTIONS, frameBytesMax });
      expect(accepted).toBe(40);
      for (const { bytes, count } of frames)
        if (count > 1) expect(bytes.length).toBeLessThanOrEqual(frameBytesMax);
    }
  });

  test('of the largest size is cut into frames below the bound', () => {
    const embedding = Array.from({ length: 64 }, (_, i) => i + 1);
    const items = Array.from({ length: LIMITS.batchCountMax }, (_, i) => ({
      id: `${i}`,
      embedding,
    }));
    const { frames, accepted, errors } = encodeBatch(itemsOf(items), {
      dimension: 64,
      metric: 'l2',
    });
    expect([accepted, errors.length]).toEqual([LIMITS.batchCountMax, 0]);
    expect(frames.length).toBeLessThan(25);
    for (const { bytes } of frames) expect(bytes.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
  });

  test('takes an id again whose first observation was refused', () => {
    const { accepted, errors } = encodeBatch(
      itemsOf([
        { id: 'a', embedding: [0, 0, 0] },
        { id: 'a', embedding: [1, 2, 3] },
      ]),
      OPTIONS,
    );
    expect(accepted).toBe(1);
    expect(errors.map(({ index, pointer }) => [index, pointer])).toEqual([
      [0, '/observations/0/embedding'],
    ]);
  });

  test('of a decided lane keeps its order whatever lanes its items name', () => {
    const items = LANES.map((lane) => ({ id: lane, embedding: [1, 2, 3], lane }));
    const options = { ...OPTIONS, lane: 'low' as const, lanePerItem: false };
    const { low } = read(encodeBatch(itemsOf(items), options));
    expect(low.map((each) => (each as { id: string }).id)).toEqual([...LANES]);
  });

  test('without a good observation has no frames', () => {
    const { frames, accepted, errors } = encodeBatch(itemsOf([{ id: 'a' }, 5]), OPTIONS);
    expect([frames, accepted, errors.length]).toEqual([[], 0, 2]);
  });

  test('takes null for an absent metadata, timestamp or lane', () => {
    const item = { id: 'a', embedding: [1, 2, 3], metadata: null, timestamp: null, lane: null };
    const { normal } = read(encodeBatch(itemsOf([item]), OPTIONS));
    expect(normal).toEqual([
      { id: 'a', embedding: [1, 2, 3], metadata: undefined, timestamp: NaN },
    ]);
  });

  test('takes names of object members as ids and metadata keys like any others', () => {
    for (const name of ['toString', 'hasOwnProperty', 'constructor', 'valueOf']) {
      const { accepted } = encodeBatch(
        itemsOf([{ id: name, embedding: [1, 2, 3], metadata: { [name]: name } }]),
        OPTIONS,
      );
      expect(accepted).toBe(1);
    }
  });
});

describe('metadata of a batch', () => {
  const metadataOf = (metadata: unknown) =>
    encodeBatch(itemsOf([{ id: 'a', embedding: [1, 2, 3], metadata }]), OPTIONS);

  test('may be as large and as deep as the limits say, and not more', () => {
    const sized = (bytes: number) => ({ t: 'x'.repeat(bytes - '{"t":""}'.length) });
    const nested = (levels: number) =>
      JSON.parse('{"a":'.repeat(levels) + '1' + '}'.repeat(levels)) as unknown;
    expect(metadataOf(sized(LIMITS.metadataBytesMax)).accepted).toBe(1);
    expect(metadataOf(sized(LIMITS.metadataBytesMax + 1)).errors[0]?.code).toBe('INVALID_METADATA');
    expect(metadataOf(nested(LIMITS.metadataDepthMax)).accepted).toBe(1);
    expect(metadataOf(nested(LIMITS.metadataDepthMax + 1)).errors[0]?.code).toBe(
      'INVALID_METADATA',
    );
    expect(metadataOf(nested(5_000)).errors[0]?.code).toBe('INVALID_METADATA');
  });

  test('symptom: what only MessagePack can say was accepted and refused by the shard afterwards', () => {
    for (const metadata of [
      new Date(0),
      Buffer.from('bytes'),
      { when: new Date(0), big: 2n ** 63n, raw: Buffer.from('b'), not: NaN, gone: undefined },
      new Set([1]),
    ]) {
      const body = pack({ id: 'a', embedding: [1, 2, 3], metadata });
      const batch = encodeBatch(readItems('msgpack', body), OPTIONS);
      for (const { metadata: text } of read(batch).normal as { metadata: string }[])
        expect(metadataTextFault(text)).toBeUndefined();
    }
  });

  test('that was accepted as a value is accepted as text by the shard', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (metadata) => {
        const batch = metadataOf(metadata);
        for (const { metadata: text } of read(batch).normal as { metadata: string }[]) {
          expect(metadataTextFault(text)).toBeUndefined();
          expect(text).toBe(JSON.stringify(metadata));
        }
      }),
    );
  });
});

test('a frame of deletes has no embeddings and all the ids', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), (ids) => {
      const frame = decodeFrame(encodeDeletes(ids));
      expect([frame.putCount, frame.deleteCount, frame.dimension]).toEqual([0, ids.length, 0]);
      expect(ids.map((_, i) => frame.id(i))).toEqual(ids);
    }),
  );
});
