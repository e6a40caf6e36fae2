import type { SpaceId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { describe, expect, test } from 'vitest';
import type { RecallAnswer } from '../src/protocol.ts';
import { Cursors } from '../src/worker/cursors.ts';
import { CRASHING, startEngine } from './engines.ts';
import { feed, feedAll, Log, namesOn, Space } from './spaces.ts';
import { until } from './until.ts';

const EXPIRED = { code: 'CURSOR_EXPIRED' };
const spaceIds = (hits: readonly { readonly id: string }[]) => hits.map(({ id }) => id);

describe('the cursors of a thread', () => {
  const spaceOf = (name = 'a') => ({
    config: { space: name as SpaceId },
    usedAtMs: 0,
    users: 0,
  });

  /** Pages of one hit each, which tell when they are ended. */
  function pagesOf(count: number, failsAt = Infinity) {
    const state = { isEnded: false };
    async function* pages(): AsyncGenerator<RecallAnswer, undefined> {
      try {
        for (let page = 0; page < count; page++) {
          await Promise.resolve();
          if (page === failsAt) throw new Error('the file is away');
          yield [{ id: `hit ${page}`, score: page }];
        }
        return undefined;
      } finally {
        state.isEnded = true;
      }
    }
    return { state, pages: pages() };
  }

  test('give page after page, the last one without a cursor', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    const { pages, state } = pagesOf(3);
    const first = await cursors.open(space, pages);
    expect([spaceIds(first.hits), space.users]).toEqual([['hit 0'], 1]);
    const second = await cursors.next('a' as SpaceId, first.cursor!);
    expect(spaceIds(second.hits)).toEqual(['hit 1']);
    const third = await cursors.next('a' as SpaceId, second.cursor!);
    expect(third).toEqual({ hits: [{ id: 'hit 2', score: 2 }] });
    expect([space.users, cursors.count, state.isEnded]).toEqual([0, 0, true]);
    await expect(cursors.next('a' as SpaceId, first.cursor!)).rejects.toMatchObject(EXPIRED);
  });

  test('are none where one page is all, or there is none', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    expect(await cursors.open(space, pagesOf(1).pages)).toEqual({
      hits: [{ id: 'hit 0', score: 0 }],
    });
    expect(await cursors.open(space, pagesOf(0).pages)).toEqual({ hits: [] });
    expect([space.users, cursors.count]).toEqual([0, 0]);
  });

  test('end when nobody asks for half a minute, and let the space go', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    const { pages, state } = pagesOf(9);
    const { cursor } = await cursors.open(space, pages);
    cursors.tick(1_000, false);
    cursors.tick(30_999, false);
    expect(space.users).toBe(1);
    await cursors.next('a' as SpaceId, cursor!);
    cursors.tick(31_000, false);
    cursors.tick(60_999, false);
    cursors.keep('a' as SpaceId, cursor!);
    cursors.tick(61_000, false);
    cursors.tick(90_999, false);
    expect(space.users).toBe(1);
    cursors.tick(91_000, false);
    await Promise.resolve();
    expect([space.users, state.isEnded]).toEqual([0, true]);
    await expect(cursors.next('a' as SpaceId, cursor!)).rejects.toMatchObject(EXPIRED);
  });

  test('belong to one space, and end with it', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    const { cursor } = await cursors.open(space, pagesOf(9).pages);
    await expect(cursors.next('b' as SpaceId, cursor!)).rejects.toMatchObject(EXPIRED);
    cursors.close('b' as SpaceId, cursor!);
    cursors.closeAll('b' as SpaceId);
    expect(cursors.count).toBe(1);
    cursors.closeAll('a' as SpaceId);
    expect([cursors.count, space.users]).toEqual([0, 0]);
  });

  test('are 64 at most: the one that was asked least lately makes room', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    const opened = [];
    for (let i = 0; i < 64; i++) opened.push(await cursors.open(space, pagesOf(9).pages));
    await cursors.next('a' as SpaceId, opened[0]!.cursor!);
    await cursors.open(space, pagesOf(9).pages);
    expect([cursors.count, space.users]).toEqual([64, 64]);
    await cursors.next('a' as SpaceId, opened[0]!.cursor!);
    await expect(cursors.next('a' as SpaceId, opened[1]!.cursor!)).rejects.toMatchObject(EXPIRED);
  });

  test('that are ended while a page is read do not look like the end of the results', async () => {
    const cursors = new Cursors(0);
    const { cursor } = await cursors.open(spaceOf(), pagesOf(9).pages);
    const reading = cursors.next('a' as SpaceId, cursor!);
    const twice = cursors.next('a' as SpaceId, cursor!);
    cursors.close('a' as SpaceId, cursor!);
    await expect(twice).rejects.toMatchObject(EXPIRED);
    await expect(reading).rejects.toMatchObject(EXPIRED);
  });

  test('of which a page cannot be read tell why, and end', async () => {
    const cursors = new Cursors(0);
    const space = spaceOf();
    await expect(cursors.open(space, pagesOf(9, 0).pages)).rejects.toThrow('the file is away');
    const { cursor } = await cursors.open(space, pagesOf(9, 2).pages);
    await expect(cursors.next('a' as SpaceId, cursor!)).rejects.toThrow('the file is away');
    expect([space.users, cursors.count]).toEqual([0, 0]);
  });

  test('of a thread are not taken for those of the one before', async () => {
    const { cursor } = await new Cursors(0).open(spaceOf(), pagesOf(9).pages);
    const next = new Cursors(1);
    await next.open(spaceOf(), pagesOf(9).pages);
    await expect(next.next('a' as SpaceId, cursor!)).rejects.toMatchObject(EXPIRED);
  });
});

describe('a streamed recall', () => {
  /** Rows of half a KiB, so that a thousand are some pages. */
  async function startStreaming(options: Parameters<typeof startEngine>[0] = {}) {
    const started = await startEngine(options);
    const log = new Log();
    const space = new Space(log, namesOn(0, 1)[0]!);
    const note = 'n'.repeat(500);
    for (let i = 0; i < 40; i++)
      space.write(
        Array.from({ length: 50 }, (_, j) => `row-${i * 50 + j}`),
        { note },
      );
    await feedAll(started.engine, space.entries);
    const task = {
      config: space.config,
      embedding: new Uint8Array(space.embedding().buffer),
      k: 2_000,
      include: ['metadata'] as const,
    };
    return { ...started, space, log, task };
  }

  test('has the hits of a recall, also while segments are sealed and rows change', async () => {
    const { engine, task, space } = await startStreaming();
    const right = await engine.recallBytes(task);
    const hits = [];
    let pages = 0;
    for await (const page of engine.recallStream(task)) {
      hits.push(...page);
      if (pages++ > 0) continue;
      await feed(engine, space.write(['row-1', 'row-2'], { deletes: ['row-3', 'row-4'] }));
      await engine.indexed(space.config);
      await until(
        'segments are in files',
        async () => (await engine.stats(space.config)).diskBytes > 0,
      );
    }
    expect(pages).toBeGreaterThan(3);
    expect(hits).toHaveLength(2_000);
    // The graph may have proposed others at the far end of the recall before.
    expect(spaceIds(hits.slice(0, 1_000))).toEqual(spaceIds(right.slice(0, 1_000)));
    expect(hits[0]!.metadata).toContain('nnn');
  });

  test('of a space that nobody knows is empty', async () => {
    const { engine, task } = await startStreaming();
    const config = { ...task.config, space: 'nowhere' as SpaceId };
    expect(await engine.streams.open({ ...task, config })).toEqual({ hits: [] });
  });

  test('that nobody reads is given up, and its space can leave memory then', async () => {
    let passedMs = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + passedMs };
    const { engine, task } = await startStreaming({ idleUnloadMs: 0, clock });
    const { cursor } = await engine.streams.open(task);
    expect(cursor).toBeDefined();
    await engine.indexed(task.config);
    for (const step of [0, 20_000]) {
      passedMs += step;
      expect((await engine.refresh()).unloaded).toBe(0);
    }
    passedMs += 10_001;
    await until('the space is unloaded', async () => (await engine.refresh()).unloaded === 1);
    await expect(engine.streams.next(task.config.space, cursor!)).rejects.toMatchObject(EXPIRED);
  });

  test('ends when it is closed, or its reader leaves', async () => {
    const { engine, task } = await startStreaming({ idleUnloadMs: 0 });
    const { space } = task.config;
    const { cursor } = await engine.streams.open(task);
    engine.streams.close(space, cursor!);
    await expect(engine.streams.next(space, cursor!)).rejects.toMatchObject(EXPIRED);
    for await (const page of engine.recallStream(task)) {
      expect(page.length).toBeGreaterThan(0);
      break;
    }
    await engine.indexed(task.config);
    await until('nothing keeps the space', async () => (await engine.refresh()).unloaded === 1);
  });

  test('of a deleted space does not go on', async () => {
    const { engine, task } = await startStreaming();
    const { space } = task.config;
    const { cursor } = await engine.streams.open(task);
    engine.dropSpace(space);
    await expect(engine.streams.next(space, cursor!)).rejects.toMatchObject(EXPIRED);
  });

  test('whose worker ends in the middle fails and says why', async () => {
    const { engine, task, space, told } = await startStreaming({ entry: CRASHING });
    const stream = engine.recallStream(task);
    expect((await stream.next()).value!.length).toBeGreaterThan(0);
    await feed(engine, space.write(['poison'], { note: 'CRASH-ONCE-stream' }));
    expect(told.crashes).toHaveLength(1);
    await expect(stream.next()).rejects.toMatchObject({
      ...EXPIRED,
      hint: expect.stringContaining('thread ends') as string,
    });
    await expect(engine.streams.next(space.config.space, 12_345)).rejects.toMatchObject(EXPIRED);
  });
});
