import { describe, expect, test } from 'vitest';
import type { Hit } from '../src/hit-pages.ts';
import type { RecallQuery } from '../src/space-engine.ts';
import { clustered, filterOf } from './frames.ts';
import { apply, finish, graph, ids, seal, spaceOf } from './spaces.ts';

const DIMENSION = 16;
const ROWS = 1_200;
const PAGE_BYTES = 8 * 1024;
const vectors = clustered(2 * ROWS + 1, DIMENSION, 5);
const query = vectors[2 * ROWS]!;
const puts = vectors.slice(0, ROWS).map((embedding, i) => ({
  id: `row ${i}`,
  embedding,
  metadata: { part: i % 3, text: 'ü'.repeat(i % 50) },
}));

/** Two sealed segments, one in memory with a graph, and rows without one. */
async function mixedSpace(config: Partial<Parameters<typeof spaceOf>[0]> = {}) {
  const space = spaceOf(
    { dimension: DIMENSION, ...config },
    { graphThreshold: 100, snapshotKeepMs: 0 },
  );
  for (let part = 0; part < 4; part++) {
    apply(space, part + 1, puts.slice(part * 300, (part + 1) * 300));
    if (part < 2) await seal(space);
    if (part === 2) graph(space);
  }
  expect(space.engine.segments.sealed).toHaveLength(2);
  return space;
}

async function readAll(pages: AsyncIterable<Hit[]>): Promise<Hit[][]> {
  const all: Hit[][] = [];
  for await (const page of pages) all.push(page);
  return all;
}

describe('a recall in pages', () => {
  for (const metric of ['cosine', 'l2', 'ip'] as const)
    test(`has the hits of a recall in its order (${metric})`, async () => {
      const { engine } = await mixedSpace({ metric });
      const asked: Partial<RecallQuery>[] = [
        { k: 1 },
        { k: 500 },
        { k: ROWS },
        { k: 10_000 },
        { k: 300, filter: filterOf({ part: 1 }) },
        { k: 700, asOf: { high: 0, normal: 3, low: 0 } },
      ];
      for (const each of asked) {
        const q = { embedding: query, k: 10, ...each };
        const pages = await readAll(engine.recallPages(q, PAGE_BYTES));
        expect(pages.flat()).toEqual(await engine.recall(q));
        expect(new Set(ids(pages.flat())).size).toBe(pages.flat().length);
      }
    });

  test('has pages of about so many bytes, of one hit at least', async () => {
    const { engine } = await mixedSpace();
    const pages = await readAll(engine.recallPages({ embedding: query, k: 500 }, PAGE_BYTES));
    const bytes = pages.map((page) =>
      Buffer.byteLength(JSON.stringify(page.map((h) => h.id + h.metadata))),
    );
    expect(pages.length).toBeGreaterThan(10);
    expect(Math.max(...bytes)).toBeLessThan(PAGE_BYTES);
    const single = await readAll(engine.recallPages({ embedding: query, k: 7 }, 1));
    expect(single.map((page) => page.length)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  test('orders hits of one score by id, over segments and pages', async () => {
    const space = spaceOf({ dimension: 2 }, { graphThreshold: 100, snapshotKeepMs: 0 });
    const alike = Array.from({ length: 400 }, (_, i) => ({
      id: `same ${(i * 7919) % 1_000}`,
      embedding: [1, 0],
    }));
    apply(space, 1, alike.slice(0, 200));
    await seal(space);
    apply(space, 2, alike.slice(200));
    const pages = await readAll(
      space.engine.recallPages({ embedding: new Float32Array([1, 0]), k: 300 }, 2_000),
    );
    expect(pages.length).toBeGreaterThan(3);
    expect(ids(pages.flat())).toEqual(ids(alike).sort().slice(0, 300));
  });

  test('stays as it began while its rows are overwritten, deleted, sealed and merged', async () => {
    const space = await mixedSpace();
    const { engine, upkeep } = space;
    const right = await engine.recall({ embedding: query, k: ROWS });
    const before = engine.segments.all;
    const pages = engine.recallPages({ embedding: query, k: ROWS }, PAGE_BYTES);
    const given: Hit[] = [];
    let turn = 0;
    for await (const page of pages) {
      given.push(...page);
      turn++;
      if (turn === 1) {
        const changed = puts.filter((_, i) => i % 2 === 0);
        const embeddings = changed.map((put, i) => ({ ...put, embedding: vectors[ROWS + i]! }));
        expect(apply(space, 5, embeddings).errors).toEqual([]);
      } else if (turn === 2) apply(space, 6, [], ids(puts.filter((_, i) => i % 3 === 0)));
      else if (turn === 3) await seal(space);
      else if (turn === 4) {
        upkeep.tick(1, false);
        for (let job = upkeep.giveMerge(); job !== undefined; job = upkeep.giveMerge())
          await finish(space, job);
        expect(engine.segments.all.some((segment) => before.includes(segment))).toBe(false);
        // Blocks that were let go are used again by what comes next.
        apply(
          space,
          7,
          puts.map((put) => ({ ...put, id: `later ${put.id}` })),
        );
      }
    }
    expect(turn).toBeGreaterThan(5);
    expect(given).toEqual(right);
  });

  test('lets go of what was replaced when it ends, returns or fails', async () => {
    for (const way of ['end', 'return', 'fail'] as const) {
      const space = await mixedSpace();
      const { engine, upkeep } = space;
      const [sealed] = engine.segments.sealed;
      const isOpen = () => isReadable(() => sealed!.read(0));
      const pages = engine.recallPages({ embedding: query, k: ROWS }, PAGE_BYTES);
      await pages.next();
      apply(space, 5, [], ids(puts.slice(0, 600)));
      upkeep.tick(1, false);
      for (let job = upkeep.giveMerge(); job !== undefined; job = upkeep.giveMerge())
        await finish(space, job);
      expect(engine.segments.sealed.includes(sealed!)).toBe(false);
      expect(isOpen()).toBe(true);
      if (way === 'end') await readAll(pages);
      else if (way === 'return') await pages.return(undefined);
      else await expect(pages.throw(new Error('lost'))).rejects.toThrow('lost');
      expect(isOpen()).toBe(false);
    }
  });

  test('keeps only what it can read: recalls that follow each other let older segments go', async () => {
    const space = await mixedSpace();
    const { engine } = space;
    const [first, second] = engine.segments.sealed;
    const one = engine.segments.pin();
    engine.segments.remove([first!]);
    const two = engine.segments.pin();
    engine.segments.remove([second!]);
    one.release();
    one.release();
    expect(isReadable(() => first!.read(0))).toBe(false);
    expect(isReadable(() => second!.read(0))).toBe(true);
    two.release();
    expect(isReadable(() => second!.read(0))).toBe(false);
  });

  test('of a snapshot that is gone is refused at its first page', async () => {
    const space = await mixedSpace();
    const { engine, upkeep } = space;
    apply(space, 5, [], ids(puts.slice(0, 300)));
    upkeep.tick(1, false);
    for (let job = upkeep.giveMerge(); job !== undefined; job = upkeep.giveMerge())
      await finish(space, job);
    const asOf = { high: 0, normal: 4, low: 0 };
    const pages = engine.recallPages({ embedding: query, k: 10, asOf }, PAGE_BYTES);
    await expect(pages.next()).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
  });
});

function isReadable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}
