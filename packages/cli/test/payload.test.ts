import { encodeFrame } from '@engram/codec';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { summaryOf } from '../src/payload.ts';
import { printable } from '../src/printable.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

test('a frame is told by its counts, its dimension and its first ids', () => {
  const bytes = encodeFrame({
    dimension: 2,
    ids: ['a', 'b'],
    deletes: ['c'],
    embeddings: Float32Array.of(1, 2, 3, 4),
    timestamps: [],
    metadata: [undefined, undefined],
  });
  expect(summaryOf('application/vnd.engram.frame', bytes)).toEqual({
    kind: 'frame',
    bytes: bytes.length,
    observations: 2,
    deletes: 1,
    dimensions: [2],
    ids: ['a', 'b', 'c'],
  });
});

test('JSON is told with the lengths of its embeddings, base64 among them', () => {
  const base64 = Buffer.from(Float32Array.of(1, 2, 3).buffer).toString('base64');
  const body = {
    observations: [{ id: 'a', embedding: [1, 2] }, { id: 'b', embedding: base64 }, null],
  };
  const text = JSON.stringify(body);
  expect(summaryOf(undefined, bytesOf(text))).toEqual({
    kind: 'json',
    bytes: text.length,
    observations: 3,
    dimensions: [2, 3],
    ids: ['a', 'b'],
    text,
  });
});

test('what cannot be read is shown with the reason', () => {
  const broken = summaryOf('application/json', bytesOf('{"id":'));
  expect([broken.text, typeof broken.fault]).toEqual(['{"id":', 'string']);
  expect(summaryOf('text/html', bytesOf('<b>')).fault).toContain('content type');
  expect(summaryOf('application/json', Uint8Array.of(0xff)).text).toBeUndefined();
});

test('no payload of any type makes it fail, and what it prints has no control character', () => {
  const types = fc.constantFrom(
    undefined,
    'application/json',
    'application/x-ndjson',
    'application/msgpack',
    'application/vnd.engram.frame',
    'text/html',
  );
  fc.assert(
    fc.property(types, fc.uint8Array({ maxLength: 64 }), (type, bytes) => {
      const { text = '', fault = '', ids = [] } = summaryOf(type, bytes);
      const told = printable([text, fault, ...ids].join(' '));
      expect(/[^\P{Cc}\n\t]/u.test(told)).toBe(false);
    }),
  );
});
