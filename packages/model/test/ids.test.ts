import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClusterError, ERRORS, type ErrorCode } from '../src/errors.ts';
import {
  isToken,
  observationIdFault,
  parseMemberId,
  parseSpaceId,
  type PartitionId,
  type SpaceId,
} from '../src/ids.ts';
import { fnv1a32, partitionOf } from '../src/partition.ts';
import { formatPosition, latestPosition, parsePosition, positionOf } from '../src/position.ts';
import { differingOptions, parseSpaceOptions, SPACE_LIMITS } from '../src/space.ts';

const codeOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return (error as ClusterError).code;
  }
  return undefined;
};

test('spaces lie in the partitions that every other implementation computes', () => {
  expect(fnv1a32('')).toBe(0x811c9dc5);
  expect(fnv1a32('a')).toBe(0xe40c292c);
  const vectors = { acme: 47, 'tenant-1': 11, A_b: 17, x: 7, 'user-42': 43 };
  for (const [space, partition] of Object.entries(vectors))
    expect(partitionOf(space as SpaceId, 64)).toBe(partition);
});

test('names that would mean something to a subject, a path or a shell are no tokens', () => {
  const bad = [
    '',
    '.',
    '..',
    '../../etc/passwd',
    '%2e',
    'a/b',
    'a\\b',
    'C:',
    'a.b',
    '*',
    '>',
    'a b',
    '\t',
    'a\r\nPUB evil.x 2\r\nhi',
    'a\n',
    '$JS',
    '@x',
    '{tag}',
    '%s',
    'é',
    '😀',
    'а',
    'x'.repeat(65),
    5,
    null,
    undefined,
    ['a'],
  ];
  for (const name of bad) {
    expect(isToken(name)).toBe(false);
    expect(codeOf(() => parseSpaceId(name))).toBe('INVALID_SPACE_NAME');
    expect(codeOf(() => parseMemberId(name))).toBe('INVALID_PARAMETER');
  }
  for (const name of ['a', '-', '_', 'A-b_9', 'x'.repeat(64)])
    expect(parseSpaceId(name)).toBe(name);
});

test('an observation id is any well-formed text of 1 to 256 bytes of UTF-8 without controls', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (id) => {
      const bytes = Buffer.byteLength(id);
      const isFine = bytes >= 1 && bytes <= 256 && id.isWellFormed() && !/\p{Cc}/u.test(id);
      expect(observationIdFault(id) === undefined).toBe(isFine);
    }),
  );
  for (const [unit, bytes] of [
    ['a', 1],
    ['é', 2],
    ['語', 3],
    ['😀', 4],
  ] as const) {
    const most = Math.floor(256 / bytes);
    expect(observationIdFault(unit.repeat(most))).toBeUndefined();
    expect(observationIdFault(unit.repeat(most + 1))).toMatch(/256/);
  }
  for (const id of ['', 'a\u0000', '\u007f', '\u0085', '\ud800', '\udc00a', 7, null, {}])
    expect(observationIdFault(id)).toBeTypeOf('string');
});

describe('a position', () => {
  const sequence = fc.maxSafeNat();
  test('comes back from its token', () => {
    fc.assert(
      fc.property(fc.nat(4_095), sequence, sequence, sequence, (partition, high, normal, low) => {
        const position = { partition: partition as PartitionId, sequences: { high, normal, low } };
        expect(parsePosition(formatPosition(position), '#p')).toEqual(position);
      }),
    );
  });

  test('is not read from anything else', () => {
    for (const token of [
      '',
      '1',
      '1-2.3',
      '1-2.3.4.5',
      '-1-1.1.1',
      '1-1.1.1 ',
      '1-1.1.-1',
      '1-1e3.1.1',
      '1-9999999999999999.1.1',
      '1-1.1.1\n',
      5,
      null,
    ])
      expect(codeOf(() => parsePosition(token, '#p'))).toBe('INVALID_POSITION');
  });

  test('covers the highest entry of each lane', () => {
    const entries = [
      { lane: 'low', sequence: 4 },
      { lane: 'high', sequence: 9 },
      { lane: 'low', sequence: 3 },
    ] as const;
    expect(positionOf(2 as PartitionId, entries)).toEqual({
      partition: 2,
      sequences: { high: 9, normal: 0, low: 4 },
    });
  });
});

describe('an error', () => {
  test.each(Object.keys(ERRORS) as ErrorCode[])('%s crosses the wire whole', (code) => {
    const { status, retry, title } = ERRORS[code];
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(['never', 'same-owner', 'after-reroute']).toContain(retry);
    expect(title.length).toBeGreaterThan(5);
    const error = new ClusterError(code, 'm', {
      pointer: '/a',
      hint: 'h',
      details: { n: 1 },
      cause: 1,
    });
    const wire = JSON.parse(JSON.stringify(error)) as ReturnType<ClusterError['toJSON']>;
    const back = ClusterError.fromWire(wire);
    expect(back.toJSON()).toEqual(error.toJSON());
    expect([back.status, back.retry]).toEqual([status, retry]);
    expect(ClusterError.from(error)).toBe(error);
  });

  test('of any other kind becomes INTERNAL and keeps its cause', () => {
    for (const thrown of [new TypeError('x'), 'text', 0, null])
      expect(ClusterError.from(thrown)).toMatchObject({ code: 'INTERNAL', cause: thrown });
  });
});

describe('space options', () => {
  const full = {
    dimension: 8,
    metric: 'l2',
    engine: 'usearch',
    quantization: 'f16',
    m: 8,
    efConstruction: 128,
  };
  test('are taken as given and filled with defaults', () => {
    expect(parseSpaceOptions(full)).toEqual(full);
    expect(parseSpaceOptions({ dimension: 8 })).toEqual({
      dimension: 8,
      metric: 'cosine',
      engine: 'usearch',
      quantization: 'i8',
      m: 16,
      efConstruction: 64,
    });
  });

  test('have the quantization of their engine when they name none', () => {
    // So they were kept before there was a choice.
    const { quantization: _, ...older } = { ...full, engine: 'hnswlib' };
    expect(parseSpaceOptions(older)).toEqual({ ...older, quantization: 'f32' });
    expect(() => parseSpaceOptions({ ...older, quantization: 'i8' })).toThrow(
      expect.objectContaining({ code: 'INVALID_SPACE_CONFIG', pointer: '/quantization' }),
    );
  });

  test('out of range, of a wrong type or unknown are refused at their place', () => {
    const bad: [object, string][] = [
      [{}, '/dimension'],
      [{ ...full, colour: 1 }, '/colour'],
      [{ ...full, metric: 'L2' }, '/metric'],
      [{ ...full, engine: 'x' }, '/engine'],
      [{ ...full, quantization: 'i4' }, '/quantization'],
    ];
    for (const [field, { min, max }] of Object.entries(SPACE_LIMITS)) {
      for (const value of [min - 1, max + 1, min + 0.5, '8', NaN, [], true])
        bad.push([{ ...full, [field]: value }, `/${field}`]);
      for (const value of [min, max])
        expect(parseSpaceOptions({ ...full, [field]: value })).toMatchObject({ [field]: value });
    }
    for (const [value, pointer] of bad)
      expect(() => parseSpaceOptions(value)).toThrow(
        expect.objectContaining({ code: 'INVALID_SPACE_CONFIG', pointer }),
      );
    for (const value of [null, [], 'x', 5])
      expect(codeOf(() => parseSpaceOptions(value))).toBe('INVALID_SPACE_CONFIG');
  });

  test('differ by name', () => {
    const options = parseSpaceOptions(full);
    expect(differingOptions(options, options)).toEqual([]);
    expect(differingOptions(options, { ...options, m: 9, metric: 'ip' })).toEqual(['metric', 'm']);
  });
});

test('the latest of two positions has the highest sequence of each lane', () => {
  expect(latestPosition('3-1.20.3', '3-2.10.3')).toBe('3-2.20.3');
  expect(latestPosition(undefined, '3-2.10.3')).toBe('3-2.10.3');
  expect(latestPosition('3-2.10.3', undefined)).toBe('3-2.10.3');
  expect(latestPosition(undefined, undefined)).toBeUndefined();
});
