import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileFilter } from '../src/filter.ts';
import type { Metadata } from '../src/observation.ts';

const scalar = fc.oneof(
  fc.integer({ min: -2, max: 2 }),
  fc.constantFrom('a', 'b', ''),
  fc.boolean(),
  fc.constant(null),
);
const field = fc.constantFrom('x', 'y', 'x.y', 'toString', '');
const comparison = fc.oneof(
  fc.record({ op: fc.constantFrom('$eq', '$ne'), operand: scalar }),
  fc.record({ op: fc.constantFrom('$in', '$nin'), operand: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ op: fc.constant('$exists'), operand: fc.boolean() }),
  fc.record({
    op: fc.constantFrom('$gt', '$gte', '$lt', '$lte'),
    operand: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom('a', 'b')),
  }),
);
const clause = fc.oneof(
  scalar,
  fc
    .array(comparison, { minLength: 1, maxLength: 2 })
    .map((list) => Object.fromEntries(list.map(({ op, operand }) => [op, operand]))),
);
const { filter } = fc.letrec<{ filter: unknown }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3 },
    fc.dictionary(field, clause, { maxKeys: 2 }),
    fc.record({ $and: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ $or: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ $not: tie('filter') }),
  ),
}));
const metadata = fc.option(
  fc.dictionary(
    fc.constantFrom('x', 'y', ''),
    fc.oneof(scalar, fc.array(scalar), fc.dictionary(fc.constant('y'), scalar)),
  ),
  { nil: undefined },
);

/** The meaning of a filter, read off one clause at a time. */
function holds(given: unknown, data: Metadata | undefined): boolean {
  return Object.entries(given as object).every(([key, value]: [string, unknown]) => {
    if (key === '$and') return (value as unknown[]).every((part) => holds(part, data));
    if (key === '$or') return (value as unknown[]).some((part) => holds(part, data));
    if (key === '$not') return !holds(value, data);
    let found: unknown = data;
    for (const name of key.split('.'))
      found =
        typeof found === 'object' && found !== null && Object.hasOwn(found, name)
          ? (found as Record<string, unknown>)[name]
          : undefined;
    const items: unknown[] = Array.isArray(found) ? found : [found];
    if (typeof value !== 'object' || value === null) return items.includes(value);
    return Object.entries(value).every(([op, operand]: [string, unknown]) => {
      const r = operand as number;
      const some = (compare: (l: number) => boolean) =>
        items.some((item) => typeof item === typeof operand && compare(item as number));
      const isAmong = (values: readonly unknown[]) => items.some((item) => values.includes(item));
      const table: Record<string, () => boolean> = {
        $eq: () => isAmong([operand]),
        $ne: () => !isAmong([operand]),
        $in: () => isAmong(operand as unknown[]),
        $nin: () => !isAmong(operand as unknown[]),
        $exists: () => (found !== undefined) === operand,
        $gt: () => some((l) => l > r),
        $gte: () => some((l) => l >= r),
        $lt: () => some((l) => l < r),
        $lte: () => some((l) => l <= r),
      };
      return table[op]!();
    });
  });
}

test('a filter means what its clauses say', () => {
  fc.assert(
    fc.property(filter, metadata, (given, data) => {
      expect(compileFilter(given)(data)).toBe(holds(given, data));
    }),
    { numRuns: 500 },
  );
});

test('a filter never throws, whatever the metadata holds', () => {
  fc.assert(
    fc.property(filter, fc.object(), (given, data) => {
      expect(compileFilter(given)(data)).toBeTypeOf('boolean');
    }),
  );
});

test('anything that is no filter is refused as INVALID_FILTER', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), fc.object()), (given) => {
      try {
        compileFilter(given);
      } catch (error) {
        expect(error).toMatchObject({ code: 'INVALID_FILTER' });
      }
    }),
  );
  for (const given of [
    null,
    [],
    'x',
    { $or: [] },
    { $and: {} },
    { $nor: [] },
    { a: {} },
    { a: [] },
    { a: { $gt: null } },
    { a: { $in: 1 } },
    { a: { $regex: '(a+)+' } },
    { a: { $exists: 1 } },
    { a: Infinity },
    { a: { $lt: -Infinity } },
    { a: { $in: [1, NaN] } },
  ])
    expect(() => compileFilter(given)).toThrow(expect.objectContaining({ code: 'INVALID_FILTER' }));
});

test('filters are bounded in depth and in clauses', () => {
  const nest = (levels: number): unknown => (levels === 1 ? { a: 1 } : { $not: nest(levels - 1) });
  const wide = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));
  expect(compileFilter(nest(8))).toBeTypeOf('function');
  expect(compileFilter(wide(256))).toBeTypeOf('function');
  const values = { a: { $in: Array.from({ length: 256 }, (_, i) => i) } };
  for (const given of [nest(9), nest(5_000), wide(257), values])
    expect(() => compileFilter(given)).toThrow(expect.objectContaining({ code: 'INVALID_FILTER' }));
});

test('symptom: a list of empty filters was not counted, and each row paid for all of them', () => {
  expect(() => compileFilter({ $and: Array.from({ length: 100_000 }, () => ({})) })).toThrow(
    /clauses/,
  );
});
