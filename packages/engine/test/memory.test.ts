import { LANES, type Lane } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextMemoryState, type MemoryState } from '../src/memory-guard.ts';
import { memoryUsage } from '../src/memory-usage.ts';
import { startEngine } from './engines.ts';
import { expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';

const limits = { softBytes: 1_000, hardBytes: 2_000 };

describe('the state of memory', () => {
  test.each([
    ['normal', 999, 'normal'],
    ['normal', 1_000, 'soft'],
    ['normal', 2_000, 'hard'],
    ['soft', 1_999, 'soft'],
    ['soft', 2_000, 'hard'],
    ['soft', 950, 'soft'],
    ['soft', 949, 'normal'],
    ['hard', 2_000, 'hard'],
    ['hard', 1_900, 'hard'],
    ['hard', 1_899, 'soft'],
    ['hard', 950, 'soft'],
    ['hard', 949, 'normal'],
  ] as const)('after %s with %i bytes is %s', (state, bytes, next) => {
    expect(nextMemoryState(state, bytes, limits)).toBe(next);
  });

  test('does not flap, and is not worse than the bytes say once there is room (property)', () => {
    const order: readonly MemoryState[] = ['normal', 'soft', 'hard'];
    fc.assert(
      fc.property(fc.constantFrom(...order), fc.nat(3_000), (state, bytes) => {
        const next = nextMemoryState(state, bytes, limits);
        // The same bytes say the same.
        expect(nextMemoryState(next, bytes, limits)).toBe(next);
        const rank = order.indexOf(next);
        expect(rank).toBeGreaterThanOrEqual(bytes >= 2_000 ? 2 : bytes >= 1_000 ? 1 : 0);
        expect(rank).toBeLessThanOrEqual(bytes < 950 ? 0 : bytes < 1_900 ? 1 : 2);
      }),
    );
  });

  test('is measured: what the process has alone is part of all it has', () => {
    const before = memoryUsage();
    const ballast = Buffer.alloc(64 * 1024 * 1024, 1);
    const after = memoryUsage();
    expect(after.privateBytes - before.privateBytes).toBeGreaterThan(ballast.length / 2);
    expect(after.privateBytes).toBeLessThanOrEqual(after.rssBytes * 1.1);
  });
});

/** An engine that takes as much memory as the test says. */
async function startWithMemory(options: Parameters<typeof startEngine>[0] = {}) {
  const usage = { privateBytes: 0, rssBytes: 0 };
  const started = await startEngine({ memory: limits, memoryUsage: () => usage, ...options });
  const use = async (bytes: number) => {
    usage.privateBytes = bytes;
    usage.rssBytes = bytes;
    return (await started.engine.refresh()).memory;
  };
  return { ...started, use };
}

describe('an engine with little memory left', () => {
  test('refuses the lane low, but not what was accepted long ago', async () => {
    const { engine, use } = await startWithMemory();
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    expect(await use(1_500)).toBe('soft');
    const low = space.write(['a'], { lane: 'low' });
    expect(engine.apply(low)).toBeUndefined();
    expect(engine.room('low')).toEqual({ observations: 0, bytes: 0 });
    expect(engine.room('low', { isReplay: true }).observations).toBeGreaterThan(0);
    expect(await engine.apply(low, { isReplay: true })).toMatchObject({ applied: 1 });
    for (const lane of ['normal', 'high'] as const) {
      expect(engine.room(lane).observations).toBeGreaterThan(0);
      expect(await engine.apply(space.write([lane], { lane }))).toMatchObject({ applied: 1 });
    }
    expect(await use(950)).toBe('soft');
    expect(engine.apply(low)).toBeUndefined();
    expect(await use(949)).toBe('normal');
    expect(await engine.apply(space.write(['b'], { lane: 'low' }))).toMatchObject({ applied: 1 });
    await expectSame(engine, space);
  });

  test('puts what is in graphs into files, and unloads what is idle', async () => {
    const { engine, use } = await startWithMemory({
      segmentBytesMax: 1024 * 1024 * 1024,
      idleUnloadMs: 1_000_000_000,
    });
    const log = new Log();
    const space = new Space(log, namesOn(0, 1)[0]!, { dimension: 512, m: 4, efConstruction: 16 });
    await feedAll(engine, space.fill(2_300, 100));
    await engine.indexed(space.config);
    expect((await engine.stats(space.config)).diskBytes).toBe(0);
    expect(await use(1_500)).toBe('soft');
    await until(
      'the rows are in a file',
      async () => (await engine.stats(space.config)).diskBytes > 4 * 1024 * 1024,
    );
    const { bytes, mappedBytes } = await engine.stats(space.config);
    expect(bytes).toBeLessThan(2_300 * 512 * 4);
    expect(mappedBytes).toBeGreaterThan(0);
    await expectSame(engine, space);
    await feed(engine, space.write(['row-3', 'new'], { deletes: ['row-4'] }));
    await expectSame(engine, space);
  });

  test('at its limit takes nothing; puts that it took wait, deletes do not', async () => {
    const { engine, use } = await startWithMemory({ minBatch: 1, maxBatch: 1 });
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    await feedAll(engine, space.fill(20, 1));
    const settled: number[] = [];
    const follow = (promise: Promise<unknown>, n: number) => promise.then(() => settled.push(n));
    // More than are under way at once, so that the worker knows before it has the last of them.
    const puts = Array.from({ length: 30 }, (_, n) => space.write([`more-${n}`]));
    const pending = puts.map((entry, n) => follow(engine.apply(entry)!, n));
    const deletes = space.write([], { deletes: ['row-1', 'row-2'] });
    const mixed = space.write(['late'], { deletes: ['row-3'] });
    const deleted = engine.apply(deletes)!;
    const mixing = follow(engine.apply(mixed)!, 30);
    expect(await use(2_000)).toBe('hard');
    expect(await deleted).toEqual({ applied: 2, stale: 0, errors: [] });
    for (const id of ['row-1', 'row-2']) expect(await engine.get(space.config, id)).toBeUndefined();
    await until(
      'the delete beside a put is applied',
      async () => (await engine.get(space.config, 'row-3')) === undefined,
    );
    expect(await engine.get(space.config, 'late')).toBeUndefined();
    const NONE = { observations: 0, bytes: 0 };
    for (const lane of ['normal', 'low'] as Lane[]) expect(engine.room(lane)).toEqual(NONE);
    for (const lane of LANES) expect(engine.room(lane, { isReplay: true })).toEqual(NONE);
    expect(engine.apply(space.entries[0]!, { isReplay: true })).toBeUndefined();
    // Deletes come in the lane high; a put there is not taken.
    expect(engine.room('high').observations).toBeGreaterThan(0);
    const urgent = space.write([], { deletes: ['row-4'], lane: 'high' });
    expect(await engine.apply(urgent)!).toEqual({ applied: 1, stale: 0, errors: [] });
    expect(engine.apply({ ...space.entries[0]!, lane: 'high' })).toBeUndefined();
    const { count } = await engine.stats(space.config);
    // As many as are answered, and some wait.
    expect(settled.length).toBeLessThan(30);
    expect(count).toBe(16 + settled.length);
    // Recalls go on.
    expect(
      await engine.recall({
        config: space.config,
        embedding: space.embedding(),
        k: 5,
        include: [],
      }),
    ).toHaveLength(5);
    expect(await use(1_899)).toBe('soft');
    await Promise.all([...pending, mixing]);
    expect(settled).toHaveLength(31);
    await expectSame(engine, space);
    expect(await recallAtTen(engine, space, 5)).toBe(1);
    for (const lane of ['high', 'normal'] as const)
      expect(engine.depth(lane)).toEqual({ items: 0, observations: 0, bytes: 0 });
  });

  test('that is closed at its limit rejects what waits', async () => {
    const { engine, use } = await startWithMemory({ minBatch: 1, maxBatch: 1 });
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    const pending = Array.from({ length: 20 }, (_, n) =>
      engine.apply(space.write([`id-${n}`]))!.then(
        () => 'applied',
        (error: unknown) => (error as { readonly code: string }).code,
      ),
    );
    await use(2_500);
    await engine.close();
    const ends = new Set(await Promise.all(pending));
    expect(ends).toContain('SHUTTING_DOWN');
    ends.delete('applied');
    expect([...ends]).toEqual(['SHUTTING_DOWN']);
  });
});

describe('idle spaces', () => {
  test('are unloaded, and what comes next brings them back with the same answers', async () => {
    const { engine, told } = await startEngine({ idleUnloadMs: 50 });
    const log = new Log();
    const spaces = [...namesOn(0, 3), ...namesOn(1, 3)].map(
      (name, partition) => new Space(log, name, { partition }),
    );
    const [large, medium, ...small] = spaces as [Space, Space, ...Space[]];
    const allUnloaded = (count: number) =>
      until('all are unloaded', async () => (await engine.refresh()).unloaded === count);
    await feedAll(engine, [...large.fill(1_500, 50), ...medium.fill(300, 50)]);
    await feedAll(
      engine,
      small.flatMap((space) => space.fill(12, 3)),
    );
    await feedAll(
      engine,
      spaces.map((space) => space.write(['row-1', 'x'], { deletes: ['row-2', 'nobody'] })),
    );
    for (const space of [large, medium]) await engine.indexed(space.config);
    for (let round = 0; round < 3; round++) {
      await allUnloaded(spaces.length);
      expect(await engine.refresh()).toMatchObject({
        loaded: 0,
        observations: spaces.reduce((sum, { stored }) => sum + stored.size, 0),
        bytes: 0,
      });
      // By a recall, by a look at each, by an entry; many at once.
      if (round === 0)
        for (const space of spaces) {
          const recalls = await Promise.all([1, 2, 3].map(() => recallAtTen(engine, space, 3)));
          for (const recall of recalls) expect(recall).toBeGreaterThanOrEqual(0.9);
        }
      else if (round === 1) for (const space of spaces) await expectSame(engine, space);
      else {
        await feedAll(
          engine,
          spaces.flatMap((space) => [
            space.write(['row-5', `new-${round}`]),
            space.write([], { deletes: ['row-7'] }),
          ]),
        );
        // What was written before it was unloaded is stale.
        for (const space of spaces)
          expect(await feed(engine, space.entries[0]!)).toMatchObject({ applied: 0 });
      }
    }
    for (const space of spaces) await expectSame(engine, space);
    expect(told.faults).toEqual([]);
  });

  test('are no burden: 2,000 of them', async () => {
    const { engine, told } = await startEngine({ idleUnloadMs: 1_500 });
    const log = new Log();
    const spaces = Array.from(
      { length: 2_000 },
      (_, n) => new Space(log, `small-${n}`, { dimension: 8, partition: n % 16 }),
    );
    const entries = spaces.map((space) => space.write(['a', 'b', 'c']));
    const before = process.memoryUsage.rss();
    await feedAll(engine, entries);
    await engine.refresh();
    const loaded = process.memoryUsage.rss();
    const { bytes } = engine.totals;
    // Those that are just being written count as unloaded, but have memory until they are.
    await until('all are unloaded', async () => {
      const totals = await engine.refresh();
      return totals.unloaded === 2_000 && totals.bytes === 0;
    });
    const unloaded = process.memoryUsage.rss();
    const perSpace = (rss: number) => Math.round((rss - before) / 2_000);
    process.stdout.write(
      `2,000 spaces: ${perSpace(loaded)} bytes of RSS each when loaded (${Math.round(bytes / 2_000)} by their own count), ${perSpace(unloaded)} when unloaded\n`,
    );
    expect(engine.totals).toMatchObject({ loaded: 0, observations: 6_000, bytes: 0 });
    await forEach(spaces, async (space) => expect(await recallAtTen(engine, space, 1)).toBe(1));
    await feedAll(
      engine,
      spaces.map((space) => space.write(['a'], { deletes: ['b'] })),
    );
    await forEach(spaces, (space) => expectSame(engine, space));
    expect(told.faults).toEqual([]);
  });
});

/** Some at once, as recalls come. */
async function forEach(spaces: readonly Space[], run: (space: Space) => Promise<void>) {
  for (let from = 0; from < spaces.length; from += 50)
    await Promise.all(spaces.slice(from, from + 50).map(run));
}
