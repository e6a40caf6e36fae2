import fc from 'fast-check';
import type { Metadata } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { clustered, filterOf } from './frames.ts';
import { apply, graph, ids, seal, spaceOf } from './spaces.ts';

const DIMENSION = 6;
const SEALED = 500;
const GRAPHED = 250;
const FRESH = 90;
const ROWS = SEALED + GRAPHED + FRESH;
const vectors = clustered(ROWS + 8, DIMENSION, 61);
const queries = vectors.slice(ROWS);

const scalar = fc.oneof(
  fc.constantFrom('a', 'b', 'é', '10', ''),
  fc.integer({ min: -2, max: 12 }),
  fc.boolean(),
  fc.constant(null),
);
const metadata = fc.option(
  fc.record(
    {
      a: scalar,
      b: fc.oneof(scalar, fc.record({ c: scalar, d: scalar }, { requiredKeys: [] })),
      'b.c': scalar,
      list: fc.array(scalar, { maxLength: 2 }),
    },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);
const field = fc.constantFrom('a', 'b', 'b.c', 'b.d', 'list', 'absent');
const clause = fc.oneof(
  scalar,
  fc.record({ $eq: scalar }),
  fc.record({ $ne: scalar }),
  fc.record({ $in: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ $nin: fc.array(scalar, { maxLength: 3 }) }),
  fc.record({ $exists: fc.boolean() }),
  fc.record({ $gte: fc.integer({ min: -2, max: 12 }), $lt: fc.integer({ min: 0, max: 12 }) }),
  fc.record({ $gt: fc.constantFrom('', 'a', 'b') }),
);
const { filter: anyFilter } = fc.letrec<{ filter: unknown }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2, depthIdentifier: 'filter' },
    fc.dictionary(field, clause, { maxKeys: 2 }),
    fc.record({ $not: tie('filter') }),
    fc.record({ $or: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
    fc.record({ $and: fc.array(tie('filter'), { minLength: 1, maxLength: 2 }) }),
  ),
}));

interface Row {
  readonly id: string;
  readonly embedding: Float32Array;
  readonly metadata?: unknown;
}

/** Rows in a file, in a graph in memory and in none, some of each dead or written again. */
async function spaceWith(kinds: readonly unknown[]) {
  const space = spaceOf({ dimension: DIMENSION, metric: 'l2' }, { graphThreshold: 100 });
  const living = new Map<string, Row>();
  let sequence = 0;
  const write = (rows: readonly Row[], deletes: readonly string[] = []) => {
    apply(space, ++sequence, rows, deletes);
    for (const row of rows) living.set(row.id, row);
    for (const id of deletes) living.delete(id);
  };
  const rows = vectors.slice(0, ROWS).map((embedding, i): Row => {
    const kind = kinds[Math.floor(i / 7) % kinds.length];
    return { id: `row ${i}`, embedding, ...(kind === undefined ? {} : { metadata: kind }) };
  });
  write(rows.slice(0, SEALED));
  await seal(space);
  write(rows.slice(SEALED, SEALED + GRAPHED));
  graph(space);
  write(rows.slice(SEALED + GRAPHED), ids(rows.filter((_, i) => i % 20 === 3)));
  // Another's metadata, at another place.
  write(rows.filter((_, i) => i % 25 === 9).map(({ id }, i) => ({ ...rows[(i * 7) % ROWS]!, id })));
  expect(space.engine.segments.growing.graphedTo).toBe(GRAPHED);
  return { engine: space.engine, living };
}

const distance = (left: Float32Array, right: Float32Array) =>
  Math.hypot(...left.map((value, i) => value - right[i]!));

test('a filter is answered with as many as match, all of them matching, the best first', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(metadata, { minLength: 1, maxLength: 8 }),
      fc.array(anyFilter, { minLength: 12, maxLength: 12 }),
      async (kinds, filters) => {
        const { engine, living } = await spaceWith(kinds);
        for (const [i, given] of filters.entries()) {
          const filter = filterOf(given);
          const matching = [...living.values()].filter((row) =>
            filter.predicate(row.metadata as Metadata | undefined),
          );
          const embedding = queries[i % queries.length]!;
          const distances = matching.map((row) => distance(row.embedding, embedding));
          for (const k of [1, 10, 1_000]) {
            const hits = await engine.recall({ embedding, k, filter });
            expect(hits).toHaveLength(Math.min(k, matching.length));
            expect(new Set(ids(hits)).size).toBe(hits.length);
            for (const hit of hits) {
              const row = living.get(hit.id)!;
              expect(hit.score).toBeCloseTo(distance(row.embedding, embedding), 4);
              expect(filter.predicate(row.metadata as Metadata | undefined)).toBe(true);
            }
            if (hits.length > 0) expect(hits[0]!.score).toBeCloseTo(Math.min(...distances), 4);
          }
        }
        engine.segments.close();
      },
    ),
    { numRuns: 8 },
  );
});

describe('what a filter takes', () => {
  const isOdd = filterOf({ odd: true });
  const row = (i: number, odd = i % 2 === 1) => ({
    id: `row ${i}`,
    embedding: vectors[i]!,
    metadata: { odd },
  });

  test('follows what is written after it was asked for, wherever that is', async () => {
    const space = spaceOf({ dimension: DIMENSION, metric: 'l2' }, { graphThreshold: 50 });
    const odd = async () =>
      ids(await space.engine.recall({ embedding: queries[0]!, k: 1_000, filter: isOdd }))
        .map((id) => Number(id.slice(4)))
        .sort((left, right) => left - right);
    const all = Array.from({ length: 400 }, (_, i) => row(i));
    apply(space, 1, all.slice(0, 100));
    expect(await odd()).toEqual(Array.from({ length: 50 }, (_, i) => 2 * i + 1));
    apply(space, 2, all.slice(100, 300));
    expect(await odd()).toHaveLength(150);
    await seal(space);
    expect(await odd()).toHaveLength(150);
    apply(space, 3, [row(2, true), row(3, false)], ['row 5']);
    expect((await odd()).slice(0, 3)).toEqual([1, 2, 7]);
    await seal(space);
    expect((await odd()).slice(0, 3)).toEqual([1, 2, 7]);
  });

  test('is kept for eight filters, and judged again for others', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    apply(
      space,
      1,
      Array.from({ length: 100 }, (_, i) => row(i)),
    );
    let judged = 0;
    const counted = (key: string) => ({
      key,
      predicate: () => {
        judged++;
        return true;
      },
    });
    const ask = async (key: string) => {
      judged = 0;
      await space.engine.recall({ embedding: queries[0]!, k: 5, filter: counted(key) });
      return judged;
    };
    for (let i = 0; i < 8; i++) expect(await ask(`filter ${i}`)).toBe(100);
    expect(await ask('filter 0')).toBe(0);
    expect(await ask('filter 8')).toBe(100);
    // The one that was not asked for the longest made room.
    expect(await ask('filter 0')).toBe(0);
    expect(await ask('filter 1')).toBe(100);
    apply(space, 2, [row(100)]);
    expect(await ask('filter 0')).toBe(1);
  });
});
