import { describe, expect, test } from 'vitest';
import type { ListedId } from '../src/id-pages.ts';
import { clustered } from './frames.ts';
import { apply, finish, graph, ids, seal, spaceOf } from './spaces.ts';

const DIMENSION = 8;
const PART = 300;
const PARTS = 4;
const puts = clustered(PARTS * PART, DIMENSION, 7).map((embedding, i) => ({
  id: `row-${'ü日'.repeat(i % 4)}-${i}`,
  embedding,
  ...(i % 2 === 0 ? {} : { metadata: { i } }),
}));
const partOf = (part: number) => puts.slice(part * PART, (part + 1) * PART);
const at = (sequence: number) => ({ high: sequence, normal: sequence, low: sequence });

/** Two sealed segments, one in memory with a graph, and rows without one; the entries 1 to 4. */
async function mixedSpace(snapshotKeepMs = 60_000) {
  const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 100, snapshotKeepMs });
  for (let part = 0; part < PARTS; part++) {
    apply(space, part + 1, partOf(part));
    if (part < 2) await seal(space);
    if (part === 2) graph(space);
  }
  expect(space.engine.segments.sealed).toHaveLength(2);
  return space;
}

async function readAll(pages: AsyncIterable<ListedId[]>): Promise<ListedId[][]> {
  const all: ListedId[][] = [];
  for await (const page of pages) all.push(page);
  return all;
}

const byId = (listed: readonly ListedId[]) =>
  new Map(listed.map(({ id, sequence }) => [id, sequence]));

/** What stands after the entries 1 to 4. */
const written = new Map(puts.map(({ id }, i) => [id, Math.floor(i / PART) + 1]));

describe('a listing of all ids', () => {
  test('has each living id once with its sequence, in files and in memory', async () => {
    const { engine } = await mixedSpace();
    const pages = await readAll(engine.idPages(at(4), 4_096));
    expect(pages.length).toBeGreaterThan(4);
    expect(pages.flat()).toHaveLength(puts.length);
    expect(byId(pages.flat())).toEqual(written);
  });

  test('sees nothing that is newer than its snapshot, and what had not died by then', async () => {
    const space = await mixedSpace();
    apply(space, 5, partOf(0).slice(0, 50), ids(partOf(1).slice(0, 50)));
    apply(space, 6, [{ id: 'new', embedding: puts[0]!.embedding }], ids(partOf(3)), 'high');
    expect(byId((await readAll(space.engine.idPages(at(4), 4_096))).flat())).toEqual(written);
    const later = (await readAll(space.engine.idPages(at(6), 4_096))).flat();
    const expected = new Map(written);
    for (const { id } of partOf(0).slice(0, 50)) expected.set(id, 5);
    for (const { id } of [...partOf(1).slice(0, 50), ...partOf(3)]) expected.delete(id);
    expected.set('new', 6);
    expect(later).toHaveLength(expected.size);
    expect(byId(later)).toEqual(expected);
  });

  test('is of one moment, whatever is written, sealed and merged between its pages', async () => {
    const space = await mixedSpace();
    const all: ListedId[] = [];
    let sequence = 5;
    for await (const page of space.engine.idPages(at(4), 8_192)) {
      all.push(...page);
      const from = (sequence * 53) % 900;
      apply(space, sequence, puts.slice(from, from + 40), ids(puts.slice(from + 40, from + 80)));
      sequence++;
      await seal(space);
      const job = space.upkeep.giveMerge();
      if (job !== undefined) await finish(space, job);
    }
    expect(sequence).toBeGreaterThan(8);
    expect(all).toHaveLength(puts.length);
    expect(byId(all)).toEqual(written);
  });

  test('of a snapshot that is gone is refused at its first page', async () => {
    const space = await mixedSpace(0);
    apply(space, 5, [], ids(partOf(0)));
    space.upkeep.tick(1, false);
    for (let job = space.upkeep.giveMerge(); job !== undefined; job = space.upkeep.giveMerge())
      await finish(space, job);
    const pages = space.engine.idPages(at(4), 4_096);
    await expect(pages.next()).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
  });
});
