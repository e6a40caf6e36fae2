import { ClusterError } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame } from '../src/frame.ts';
import { encodeFrame, FRAME_HEADER_BYTES, type FrameColumns } from '../src/frame-encoder.ts';

const text = fc.string({ unit: 'binary', maxLength: 12 });

const columns: fc.Arbitrary<FrameColumns> = fc
  .record({
    dimension: fc.integer({ min: 1, max: 5 }),
    puts: fc.array(
      fc.record({
        id: text,
        metadata: fc.option(fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }), {
          nil: undefined,
        }),
        timestamp: fc.oneof(fc.integer(), fc.constant(NaN)),
      }),
      { maxLength: 6 },
    ),
    deletes: fc.array(text, { maxLength: 4 }),
  })
  .chain(({ dimension, puts, deletes }) =>
    fc
      .float32Array({ minLength: puts.length * dimension, maxLength: puts.length * dimension })
      .map((embeddings) => ({
        dimension,
        ids: puts.map(({ id }) => id),
        deletes,
        embeddings,
        timestamps: puts.map(({ timestamp }) => timestamp),
        metadata: puts.map(({ metadata }) => metadata),
      })),
  );

/** Reads everything that a frame offers. */
function contents(bytes: Uint8Array): FrameColumns {
  const frame = decodeFrame(bytes);
  const { dimension, putCount, deleteCount } = frame;
  expect(frame.embeddings).toHaveLength(putCount * dimension);
  expect(frame.timestamps).toHaveLength(putCount);
  return {
    dimension,
    ids: Array.from({ length: putCount }, (_, i) => frame.id(i)),
    deletes: Array.from({ length: deleteCount }, (_, i) => frame.id(putCount + i)),
    embeddings: frame.embeddings,
    timestamps: [...frame.timestamps],
    metadata: Array.from({ length: putCount }, (_, i) => frame.metadata(i)),
  };
}

/** What decoding damaged bytes may do: give contents, or throw this one error. */
function expectSafe(bytes: Uint8Array): void {
  try {
    contents(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(ClusterError);
    expect((error as ClusterError).code).toBe('INVALID_FRAME');
  }
}

const EXAMPLE: FrameColumns = {
  dimension: 3,
  ids: ['a', 'bé', '𝄞'],
  deletes: ['gone', 'x'],
  embeddings: Float32Array.from({ length: 9 }, (_, i) => i / 3),
  timestamps: [0, NaN, 1_700_000_000_000],
  metadata: ['{"k":1}', undefined, '{"é":"𝄞"}'],
};

describe('a frame', () => {
  test('gives back what was put into it', () => {
    fc.assert(
      fc.property(columns, (given) => {
        expect(contents(encodeFrame(given))).toEqual(given);
      }),
    );
  });

  test('is read at any place in a larger buffer, and only itself', () => {
    fc.assert(
      fc.property(columns, fc.integer({ min: 0, max: 17 }), (given, offset) => {
        const bytes = encodeFrame(given);
        const large = new Uint8Array(bytes.length + offset + 9).fill(0xff);
        large.set(bytes, offset);
        const part = large.subarray(offset, offset + bytes.length);
        expect(contents(part)).toEqual(given);
        expect(contents(Buffer.from(part.buffer, offset, part.length))).toEqual(given);
      }),
    );
  });

  test('in a buffer of its own is read without a copy', () => {
    const bytes = new Uint8Array(encodeFrame(EXAMPLE));
    expect(decodeFrame(bytes).embeddings.buffer).toBe(bytes.buffer);
  });

  test('takes only as much of the slab as it has ids', () => {
    const slab = Float32Array.from({ length: 300 }, (_, i) => i);
    const bytes = encodeFrame({ ...EXAMPLE, embeddings: slab.subarray(90) });
    expect([...decodeFrame(bytes).embeddings]).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98]);
  });

  test('that is cut short or has more bytes is refused, wherever', () => {
    const bytes = encodeFrame(EXAMPLE);
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeFrame(bytes.slice(0, length))).toThrow(
        expect.objectContaining({ code: 'INVALID_FRAME' }),
      );
    expect(() => decodeFrame(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(
      expect.objectContaining({ code: 'INVALID_FRAME' }),
    );
  });

  test('with any one byte changed is refused or safe to read', () => {
    const bytes = encodeFrame(EXAMPLE);
    for (let at = 0; at < bytes.length; at++)
      for (const flip of [0x01, 0x10, 0x80, 0xff]) {
        const damaged = new Uint8Array(bytes);
        damaged[at]! ^= flip;
        expectSafe(damaged);
      }
  });

  test('of any bytes at all behind a header is refused or safe to read', () => {
    const header = fc.uint8Array({ minLength: 20, maxLength: 24 });
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 200 }), fc.nat(2), (counts, body, small) => {
        const bytes = Buffer.concat([Buffer.from('ENGF'), Buffer.of(1, 0, 0, 0), counts, body]);
        // Small counts, so that some get past the first check.
        if (small > 0)
          for (let i = 8; i < 28 && i < bytes.length; i++) if (i % 4 !== 0) bytes[i] = 0;
        if (small > 1) for (let i = 8; i < 28 && i < bytes.length; i += 4) bytes[i]! &= 3;
        expectSafe(bytes);
      }),
      { numRuns: 500 },
    );
  });

  test('whose counts would overflow is refused without allocating for them', () => {
    for (const field of [8, 12, 16, 20, 24]) {
      const bytes = Buffer.from(encodeFrame(EXAMPLE));
      bytes.writeUInt32LE(0xffff_ffff, field);
      expect(() => decodeFrame(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_FRAME' }));
    }
  });

  test('whose ends fall or leave room is refused', () => {
    const idEnds = FRAME_HEADER_BYTES + 3 * 8 + 9 * 4;
    for (const [place, value] of [
      [idEnds, 9],
      [idEnds + 4 * 4, 1],
      [idEnds + 5 * 4 + 2 * 4, 3],
    ] as const) {
      const bytes = Buffer.from(encodeFrame(EXAMPLE));
      bytes.writeUInt32LE(value, place);
      expect(() => decodeFrame(bytes)).toThrow(expect.objectContaining({ code: 'INVALID_FRAME' }));
    }
  });

  test('of another version or element type is refused by name', () => {
    for (const [place, message] of [
      [4, /version 7/],
      [5, /element type 7/],
    ] as const) {
      const bytes = Buffer.from(encodeFrame(EXAMPLE));
      bytes[place] = 7;
      expect(() => decodeFrame(bytes)).toThrow(message);
    }
  });
});
