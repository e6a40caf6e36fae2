import { pack } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { bodyKind, readItems, sniffBodyKind, type BodyKind } from '../src/body.ts';
import { embeddingFault, writeEmbedding } from '../src/embedding.ts';
import { parseJson } from '../src/json.ts';

const bytes = (text: string) => Buffer.from(text);
const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return undefined;
};

describe('JSON', () => {
  test('that is not JSON is refused, and the byte where it broke is named', () => {
    for (const [text, byte] of [
      ['{"é":x}', 6],
      ['{"a":1,}', 7],
      ['{"𝄞": 01}', 10],
      ['[1,2', 4],
      ['NaN', 0],
      ['{"a":1}}', 7],
    ] as const)
      expect(() => parseJson(bytes(text)), text).toThrow(
        expect.objectContaining({ code: 'INVALID_JSON', details: { byte } }),
      );
    for (const text of [
      '',
      ' ',
      '{',
      '\u0000',
      "{'a':1}",
      '"\u0001"',
      '"\\x"',
      '[,]',
      '['.repeat(100_000),
    ])
      expect(codeOf(() => parseJson(bytes(text)))).toBe('INVALID_JSON');
    expect(codeOf(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('INVALID_UTF8');
  });

  test('that would reach a prototype is refused, and a harmless look-alike is not', () => {
    for (const text of [
      '{"__proto__":{"x":1}}',
      '{"a":{"\\u005f_proto__":1}}',
      '{"constructor":{"prototype":{}}}',
    ])
      expect(codeOf(() => parseJson(bytes(text)))).toBe('INVALID_JSON');
    for (const text of [
      '{"constructor":null}',
      '{"constructor":"x"}',
      '{"prototype":{}}',
      '{"a":"__proto__"}',
    ])
      expect(parseJson(bytes(text))).toEqual(JSON.parse(text));
  });

  test('may begin with a byte order mark', () => {
    expect(parseJson(bytes('\ufeff{"a":1}'))).toEqual({ a: 1 });
  });
});

describe('a body', () => {
  const one = { id: 'a', embedding: [1] };
  test('is one observation or a list, as JSON or MessagePack', () => {
    for (const [kind, encode] of [
      ['json', (v: unknown) => bytes(JSON.stringify(v))],
      ['msgpack', (v: unknown) => pack(v)],
    ] as const) {
      expect(readItems(kind, encode(one)).map(({ value }) => value)).toEqual([one]);
      expect(
        readItems(kind, encode({ observations: [one, 5] })).map(({ value, pointer }) => [
          value,
          pointer,
        ]),
      ).toEqual([
        [one, '/observations/0'],
        [5, '/observations/1'],
      ]);
      for (const [body, code] of [
        [[], 'INVALID_BODY'],
        [null, 'INVALID_BODY'],
        [3, 'INVALID_BODY'],
        [{ observations: 1 }, 'INVALID_BODY'],
        [{ observations: [], x: 1 }, 'INVALID_BODY'],
        [{ observations: [] }, 'EMPTY_BATCH'],
        [{ observations: Array(10_001).fill(1) }, 'BATCH_TOO_LARGE'],
      ] as const)
        expect(codeOf(() => readItems(kind, encode(body)))).toBe(code);
    }
    for (const broken of [Buffer.alloc(0), Buffer.of(0x92, 1), Buffer.alloc(100_000, 0x91)])
      expect(codeOf(() => readItems('msgpack', broken))).toBe('INVALID_MSGPACK');
  });

  test('of lines keeps the good ones and names the bad ones by their line', () => {
    const text = '\ufeff{"id":"a"}\r\n\n{"id":\n{"__proto__":1}\r\n{"id":"b"}';
    const items = readItems('ndjson', bytes(text));
    expect(items.map(({ value, line, fault }) => [value, line, fault?.code])).toEqual([
      [{ id: 'a' }, 1, undefined],
      [undefined, 3, 'INVALID_JSON'],
      [undefined, 4, 'INVALID_JSON'],
      [{ id: 'b' }, 5, undefined],
    ]);
    expect(codeOf(() => readItems('ndjson', bytes('\r\n \n')))).toBe('EMPTY_BATCH');
  });

  test('is known by its content type, or without one by its first bytes', () => {
    const known: Record<string, BodyKind> = {
      'application/json; charset=utf-8': 'json',
      'Application/X-NDJSON': 'ndjson',
      'application/jsonl': 'ndjson',
      'application/x-msgpack': 'msgpack',
      'application/vnd.engram.frame': 'frame',
    };
    for (const [type, kind] of Object.entries(known)) expect(bodyKind(type)).toBe(kind);
    for (const type of ['', 'text/plain', 'toString', 'application/jsonx'])
      expect(bodyKind(type)).toBeUndefined();
    expect(sniffBodyKind(undefined, bytes('ENGF'))).toBe('frame');
    expect(sniffBodyKind('', bytes('{'))).toBe('json');
    expect(sniffBodyKind('text/plain', bytes('{'))).toBeUndefined();
  });
});

describe('an embedding', () => {
  const fault = (value: unknown, metric: 'l2' | 'cosine' = 'cosine', dimension = 2) => {
    const slab = new Float32Array(dimension + 2).fill(9);
    const code = (
      writeEmbedding(value, dimension, slab, 1) ?? embeddingFault(slab, 1, dimension, metric)
    )?.code;
    expect([slab[0], slab[dimension + 1]]).toEqual([9, 9]);
    return code ?? [...slab.subarray(1, dimension + 1)];
  };
  const packed = Buffer.from(Float32Array.of(1, -2).buffer);

  test('is read from numbers, float32, bytes and base64 alike', () => {
    const odd = Buffer.concat([Buffer.of(0), packed]).subarray(1);
    for (const value of [[1, -2], Float32Array.of(1, -2), packed, odd, packed.toString('base64')])
      expect(fault(value)).toEqual([1, -2]);
    expect(fault([0, -0], 'l2')).toEqual([0, -0]);
  });

  test('that is none is refused with the reason', () => {
    for (const value of [
      [],
      '',
      undefined,
      null,
      {},
      5,
      [1, null],
      ['1', 2],
      [[1], 2],
      [1, NaN],
      [1, Infinity],
      [1, 1e39],
      [3e38, 3e38],
      Array(2),
      'AAAA=',
      'AAA',
      '_-AAAAAAAAA=',
      'AAAA',
      packed.subarray(0, 7),
    ])
      expect(fault(value)).toBe('INVALID_EMBEDDING');
    for (const value of [
      [1],
      [1, 2, 3],
      Float32Array.of(1),
      packed.subarray(0, 4),
      Buffer.concat([packed, packed]).toString('base64'),
    ])
      expect(fault(value)).toBe('DIMENSION_MISMATCH');
    for (const value of [
      [0, 0],
      [1e-46, 0],
      [-0, 0],
    ])
      expect(fault(value)).toBe('ZERO_EMBEDDING');
  });
});
