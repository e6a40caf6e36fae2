import type { ErrorCode } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBatch, FRAME_BYTES_MAX, type BatchOptions } from '../src/batch.ts';
import { readItems } from '../src/body.ts';
import { decodeFrame } from '../src/frame.ts';
import { encodeFrame } from '../src/frame-encoder.ts';
import { observationFault } from '../src/observation-fault.ts';
import { passFrame } from '../src/pass-frame.ts';

const OPTIONS: BatchOptions = { dimension: 2, metric: 'cosine', lane: 'low' };

interface Row {
  readonly id: string;
  readonly embedding: readonly number[];
  readonly metadata: string | undefined;
  readonly timestamp: number;
}

const GOOD: Row = { id: 'a', embedding: [1, 2], metadata: undefined, timestamp: NaN };

function frameOf(rows: readonly Row[]): Uint8Array<ArrayBuffer> {
  return encodeFrame({
    dimension: rows[0]?.embedding.length ?? 0,
    ids: rows.map(({ id }) => id),
    deletes: [],
    embeddings: Float32Array.from(rows.flatMap(({ embedding }) => embedding)),
    timestamps: rows.map(({ timestamp }) => timestamp),
    metadata: rows.map(({ metadata }) => metadata),
  });
}

/** What the log gets of it: rows, or the code of each that is refused. */
function encoded(bytes: Uint8Array) {
  const { frames, errors } = encodeBatch(readItems('frame', bytes), OPTIONS);
  return { rows: frames.flatMap(rowsOf), lanes: frames.map(({ lane }) => lane), errors };
}

function rowsOf({ bytes }: { readonly bytes: Uint8Array }) {
  const frame = decodeFrame(bytes);
  return Array.from({ length: frame.putCount }, (_, i) => ({
    id: frame.id(i),
    embedding: [...frame.embeddings.subarray(i * frame.dimension, (i + 1) * frame.dimension)],
    metadata: JSON.parse(frame.metadata(i) ?? 'null') as unknown,
    timestamp: frame.timestamps[i],
  }));
}

const rows = fc.array(
  fc.record({
    id: fc.oneof(fc.integer({ min: 0, max: 40 }).map(String), fc.string({ maxLength: 4 })),
    embedding: fc.array(fc.constantFrom(0, 1, -2.5, NaN, 3e38), { minLength: 2, maxLength: 2 }),
    metadata: fc.option(
      fc.oneof(
        fc.json({ maxDepth: 1 }),
        fc.object({ maxDepth: 1 }).map((each) => JSON.stringify(each)),
        fc.string({ minLength: 1, maxLength: 3 }),
      ),
      { nil: undefined },
    ),
    timestamp: fc.constantFrom(NaN, NaN, 7, 0.5),
  }),
  { minLength: 1, maxLength: 4 },
);

test('what passes is what would have been encoded, whatever the frame holds', () => {
  let passes = 0;
  fc.assert(
    fc.property(rows, (given) => {
      const bytes = frameOf(given);
      const passed = passFrame(bytes, OPTIONS);
      if (passed === undefined) return;
      passes++;
      expect(passed.accepted).toBe(given.length);
      expect(passed.frames[0]?.bytes).toBe(bytes);
      const { rows: wanted, lanes, errors } = encoded(bytes);
      expect(errors).toEqual([]);
      expect(passed.frames.map(({ lane }) => lane)).toEqual(lanes);
      expect(passed.frames.flatMap(rowsOf)).toEqual(wanted);
    }),
    { numRuns: 2_000 },
  );
  expect(passes).toBeGreaterThan(0);
});

describe('does not pass', () => {
  const long = `{"text":"${'x'.repeat(20_000)}"}`;
  test.each<readonly [string, readonly Partial<Row>[]]>([
    ['an id twice', [{}, {}]],
    ['an empty id', [{ id: '' }]],
    ['a control character', [{ id: 'a\n' }]],
    ['another dimension', [{ embedding: [1, 2, 3] }]],
    ['a zero vector', [{}, { id: 'b', embedding: [0, 0] }]],
    ['NaN', [{ embedding: [NaN, 1] }]],
    ['half a millisecond', [{ timestamp: 0.5 }]],
    ['a list as metadata', [{ metadata: '[]' }]],
    ['no JSON', [{ metadata: '{' }]],
    ['much metadata', [{ metadata: long }]],
    ['a key __proto__', [{ metadata: '{"__proto__":{}}' }]],
    ['the same in escapes', [{ metadata: '{"\\u005f_proto__":{}}' }]],
    ['a prototype', [{ metadata: '{"constructor":{"prototype":{}}}' }]],
  ])('%s', (_name, given) => {
    const bytes = frameOf(given.map((each) => ({ ...GOOD, ...each })));
    expect(passFrame(bytes, OPTIONS)).toBeUndefined();
    expect(encoded(bytes).errors).toHaveLength(1);
  });

  test.each([
    ['metadata that is larger once it was read', `{"a":[${'1e20,'.repeat(3_000)}1]}`],
    ['a number that JSON has not', '{"a":1e999}'],
    ['a key twice', '{"a":1,"a":2}'],
    ['white space', '{ "a": 1 }'],
  ])('%s, so that the log has what it had without', (_name, metadata) => {
    expect(passFrame(frameOf([{ ...GOOD, metadata }]), OPTIONS)).toBeUndefined();
  });

  test.each<readonly [string, Partial<Row>, ErrorCode]>([
    ['an id that is no UTF-8', { id: '~~' }, 'INVALID_ID'],
    ['metadata that is none', { metadata: '{"a":"~~"}' }, 'INVALID_METADATA'],
    ['a character of which each of two ids has a half', { id: '~' }, 'INVALID_ID'],
  ])('%s, and each is refused by itself', (_name, given, code) => {
    const bytes = frameOf([{ ...GOOD, ...given }, { ...GOOD, ...given }, GOOD]);
    const marks = [...bytes.keys()].filter((at) => bytes[at] === '~'.charCodeAt(0));
    marks.forEach((at, i) => (bytes[at] = i % 2 === 0 ? 0xc3 : 0xa9));
    if (given.id !== '~') for (const at of marks) bytes[at] = 0xff;
    expect(passFrame(bytes, OPTIONS)).toBeUndefined();
    const { rows: taken, errors } = encoded(bytes);
    expect(errors).toMatchObject([0, 1].map((index) => ({ index, code })));
    expect(taken.map(({ id }) => id)).toEqual(['a']);
    const frame = decodeFrame(bytes);
    const codes = [0, 1, 2].map((i) => observationFault(frame, i, OPTIONS)?.code);
    expect(codes).toEqual([code, code, undefined]);
  });

  test('what is too large for one, and deletes', () => {
    const count = FRAME_BYTES_MAX / 8;
    const many = Array.from({ length: count }, (_, i) => ({ ...GOOD, id: String(i) }));
    expect(passFrame(frameOf(many), OPTIONS)).toBeUndefined();
    const columns = { embeddings: new Float32Array(2), timestamps: [NaN], metadata: [undefined] };
    const deletes = encodeFrame({ ...columns, dimension: 2, ids: ['a'], deletes: ['b'] });
    expect(passFrame(deletes, OPTIONS)).toBeUndefined();
    expect(passFrame(frameOf([]), OPTIONS)).toBeUndefined();
  });
});
