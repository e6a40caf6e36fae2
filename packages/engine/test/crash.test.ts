import { readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import type { PartitionId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import type { Applied, Entry, ShardEngine } from '../src/index.ts';
import { CRASHING, startEngine, type Lost } from './engines.ts';
import { expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';

/** Feeds entries as a partition's reader does: what a lost space had applied is given once more. */
class Reader {
  engine!: ShardEngine;
  readonly applied = new Map<Entry, Applied>();
  readonly again: Applied[] = [];
  #replays: Promise<void>[] = [];
  readonly #given: Entry[] = [];

  readonly onLost = ({ spaces }: Lost): void => {
    this.#replays.push(this.#replay(new Set(spaces)));
  };

  async feed(entries: readonly Entry[]): Promise<void> {
    this.#given.push(...entries);
    await Promise.all(
      entries.map(async (entry) => this.applied.set(entry, await feed(this.engine, entry))),
    );
    await this.settled();
  }

  async settled(): Promise<void> {
    for (let seen = -1; seen !== this.#replays.length;) {
      seen = this.#replays.length;
      await Promise.all(this.#replays);
    }
  }

  /** What is in flight is not given again: the engine still has it. */
  async #replay(spaces: Set<string>): Promise<void> {
    await turn();
    const lost = this.#given.filter(
      (entry) => spaces.has(entry.config.space) && this.applied.has(entry),
    );
    this.again.push(...(await feedAll(this.engine, lost)));
  }
}

async function startRead(options: Parameters<typeof startEngine>[0] = {}) {
  const reader = new Reader();
  const started = await startEngine({ entry: CRASHING, onLost: reader.onLost, ...options });
  reader.engine = started.engine;
  return { ...started, reader };
}

/** Three spaces of each worker, each of a partition of its own. */
function sixSpaces(log: Log): Space[] {
  return [...namesOn(0, 3), ...namesOn(1, 3)].map(
    (name, partition) => new Space(log, name, { partition }),
  );
}

/** Entries of all spaces in the order of the log. */
function inOrder(...groups: (readonly Entry[])[]): Entry[] {
  return groups.flat().sort((left, right) => left.sequence - right.sequence);
}

describe('an engine whose worker ends', () => {
  test('G2: tells what is lost before there is a new thread, and has everything in the end', async () => {
    let threadsAtLoss: string[] = [];
    const { engine, told, reader, dataDir } = await startRead({
      onLost: (lost) => {
        threadsAtLoss = readdirSync(dataDir).filter((name) => name.startsWith('began-'));
        reader.onLost(lost);
      },
    });
    const spaces = sixSpaces(new Log());
    const mine = spaces.slice(0, 3);
    await reader.feed(inOrder(...spaces.map((space) => space.fill(60, 5))));
    const poison = spaces[1]!.write(['poison', 'row-3'], { note: 'CRASH-ONCE-a' });
    const more = inOrder(
      ...spaces.map((space) => space.fill(300, 5)),
      [poison],
      ...spaces.map((space) => [space.write([], { deletes: ['row-2', 'row-7'] })]),
    );
    await reader.feed(more);
    expect(told.crashes).toHaveLength(1);
    expect(told.crashes[0]!.worker).toBe(0);
    expect(told.crashes[0]!.error.message).toContain('RangeError: this is CRASH-ONCE-a');
    expect(told.lost).toHaveLength(1);
    expect([...told.lost[0]!.spaces].sort()).toEqual(mine.map(({ config }) => config.space).sort());
    expect([...told.lost[0]!.partitions].sort()).toEqual([0, 1, 2]);
    expect(threadsAtLoss).toHaveLength(2);
    expect(readdirSync(dataDir).filter((name) => name.startsWith('began-'))).toHaveLength(3);
    // Each entry is answered, and without a word of the crash.
    expect([...reader.applied.values()].every(({ errors }) => errors.length === 0)).toBe(true);
    for (const space of spaces) {
      await expectSame(engine, space);
      await engine.indexed(space.config);
      expect(await recallAtTen(engine, space, 5)).toBeGreaterThanOrEqual(0.9);
    }
    expect(told.failures).toEqual([]);
  });

  test('a question waits for the new thread', async () => {
    const { engine, told, reader } = await startRead();
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    await reader.feed(space.fill(40, 5));
    const fed = reader.feed([space.write(['poison'], { note: 'CRASH-ONCE-b' })]);
    await until('the worker has ended', () => told.crashes.length === 1);
    const hits = await engine.recall({
      config: space.config,
      embedding: space.embedding(),
      k: 10,
      include: [],
    });
    // Nothing, or what is applied again by then; but no failure.
    expect(hits.length).toBeLessThanOrEqual(10);
    await fed;
    await expectSame(engine, space);
  });

  test('an entry that ends its worker each time is given up, and nothing else is', async () => {
    const { engine, told, reader } = await startRead();
    const spaces = sixSpaces(new Log());
    await reader.feed(inOrder(...spaces.map((space) => space.fill(40, 4))));
    const poisons = [spaces[0]!, spaces[4]!].map((space) => {
      const entry = space.write(['poison'], { note: 'CRASH-ALWAYS' });
      space.stored.delete('poison');
      return entry;
    });
    await reader.feed(inOrder(...spaces.map((space) => space.fill(80, 4)), poisons));
    for (const [entry, { applied, errors }] of reader.applied)
      if (poisons.includes(entry))
        expect({ applied, errors }).toMatchObject({
          applied: 0,
          errors: [{ index: 0, code: 'WORKER_CRASHED' }],
        });
      else expect(errors).toEqual([]);
    expect(told.crashes.map(({ worker }) => worker).sort()).toEqual([0, 0, 1, 1]);
    // It is told each time: what was applied in between went with the thread.
    expect(told.lost).toHaveLength(4);
    for (const space of spaces) await expectSame(engine, space);
    await reader.feed(spaces.map((space) => space.write(['after', 'row-1'])));
    for (const space of spaces) await expectSame(engine, space);
    expect(told.failures).toEqual([]);
  });

  test('symptom: an entry that ends its worker ended it again at each replay', async () => {
    const { engine, told } = await startEngine({ entry: CRASHING });
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    const poison = space.write(['poison'], { note: 'CRASH-ALWAYS' });
    space.stored.delete('poison');
    const first = await feed(engine, poison);
    expect(await feed(engine, poison, { isReplay: true })).toEqual(first);
    await feedAll(engine, space.fill(10));
    await expectSame(engine, space);
    expect(told.crashes).toHaveLength(2);
    // Where the partition is let go, its entries are forgotten.
    engine.dropPartitions([space.partition]);
    expect(await feed(engine, poison)).toMatchObject({ errors: [{ code: 'WORKER_CRASHED' }] });
    expect(told.crashes).toHaveLength(4);
  });

  test('a space deleted while its worker starts again does not come back from its files', async () => {
    const { engine, told, reader } = await startRead();
    const log = new Log();
    const [gone, other] = namesOn(0, 2).map(
      (name, partition) => new Space(log, name, { partition }),
    ) as [Space, Space];
    await reader.feed(gone.fill(1_500, 50));
    await engine.indexed(gone.config);
    await until(
      'segments are in files',
      async () => (await engine.stats(gone.config)).diskBytes > 0,
    );
    const fed = reader.feed([other.write(['poison'], { note: 'CRASH-ONCE-e' })]);
    await until('the worker has ended', () => told.crashes.length === 1);
    engine.dropSpace(gone.config.space);
    await fed;
    const again = new Space(log, gone.config.space, { afterSequence: log.sequence });
    await feedAll(engine, again.fill(30));
    await expectSame(engine, again);
    expect(await engine.stats(again.config)).toMatchObject({ count: 30, diskBytes: 0 });
  });

  test('a partition dropped while its worker starts again stays dropped', async () => {
    const { engine, told } = await startRead({ minBatch: 1, maxBatch: 1, onLost: () => undefined });
    const log = new Log();
    const [gone, kept] = namesOn(0, 2).map(
      (name, partition) => new Space(log, name, { partition }),
    ) as [Space, Space];
    const poison = kept.write(['poison'], { note: 'CRASH-ONCE-f' });
    const pending = feedAll(engine, [poison, ...gone.fill(100, 2), ...kept.fill(100, 2)]);
    await until('the worker has ended', () => told.crashes.length === 1);
    engine.dropPartitions([0 as PartitionId]);
    const results = await pending;
    expect(results.slice(1, 51).every(({ applied }) => applied === 0)).toBe(true);
    expect((await engine.stats(gone.config)).count).toBe(0);
    // Both batches that were under way come again, and the rest after them: nothing was applied yet.
    await expectSame(engine, kept);
    await feedAll(engine, gone.entries);
    await expectSame(engine, gone);
  });
});
