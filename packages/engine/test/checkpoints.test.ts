import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { platform } from 'node:process';
import { CheckpointStore, FolderBlobs, SegmentCache, type CheckpointRef } from '@engram/storage';
import type { PartitionId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { cacheFolderOf } from '../src/index.ts';
import { CRASHING, scratchFolder, startEngine, type TestEngine } from './engines.ts';
import { expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';

const PARTITION = 5 as PartitionId;

async function storeOf({ dataDir }: TestEngine, folder: string): Promise<CheckpointStore> {
  const cache = await SegmentCache.open(cacheFolderOf(dataDir));
  return new CheckpointStore(await FolderBlobs.start(folder), cache);
}

let checkpoints = 0;

/** Writes what the engine has of the partition to the store. */
async function save(started: TestEngine, store: CheckpointStore, log: Log): Promise<CheckpointRef> {
  const name = `5.1.${++checkpoints}`;
  const taken = await started.engine.checkpoints.take(PARTITION, log.sequence, '5.1.');
  expect(taken?.isChanged).toBe(true);
  const head = { partition: PARTITION, epoch: 1, watermark: log.sequence, writtenAtMs: 0 };
  return (await store.save({ name, head, sections: taken!.sections, known: {} })).ref;
}

/** Brings it into an engine. */
async function restore(
  { engine, dataDir }: TestEngine,
  store: CheckpointStore,
  ref: CheckpointRef,
  spaces: readonly Space[],
) {
  const { head, lost } = await store.fetch(PARTITION, ref);
  const path = join(cacheFolderOf(dataDir), ref.name);
  const wanted = head.spaces.flatMap(({ space, at, bytes }) => {
    const config = spaces.find((each) => each.config.space === space)?.config;
    return config === undefined ? [] : [{ config, at, bytes }];
  });
  const { loss } = engine.checkpoints;
  const file = { path, watermark: head.watermark, lost: lost.map(({ name }) => name) };
  const answer = await engine.checkpoints.restore(PARTITION, file, wanted);
  await engine.checkpoints.restored(PARTITION, loss);
  return answer;
}

function filesUnder(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((each) => each.isFile()).map((each) => join(each.parentPath, each.name));
}

/** Paths of what this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // it was closed meanwhile
    }
  });
}

/** A new file in its place: what a process has open of the old one stays as it was. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 0xff;
  rmSync(path);
  writeFileSync(path, bytes);
}

/** Large and small ones, on both workers. */
function someSpaces(log: Log): Space[] {
  const names = [0, 1].flatMap((worker) => namesOn(worker, 3));
  return names.map((name) => new Space(log, name, { partition: PARTITION, dimension: 64 }));
}

const SIZES = [3_000, 150, 4, 900, 1, 40];

describe('a checkpoint of a partition', () => {
  test('is the partition, in another engine with another folder', async () => {
    const [one, other] = [await startEngine(), await startEngine()];
    const folder = scratchFolder();
    const log = new Log();
    const spaces = someSpaces(log);
    const elsewhere = new Space(log, 'elsewhere', { partition: 6 });
    await feedAll(one.engine, elsewhere.fill(50));
    for (const [i, space] of spaces.entries()) {
      await feedAll(one.engine, space.fill(SIZES[i]!, 50));
      await feed(one.engine, space.write(['again'], { deletes: [`row-0`] }));
    }
    const ref = await save(one, await storeOf(one, folder), log);
    const after = spaces.map((space) => space.write(['again', 'later'], { deletes: ['row-0'] }));
    const store = await storeOf(other, folder);
    expect(await restore(other, store, ref, spaces)).toEqual({ damaged: [] });
    expect((await other.engine.refresh()).observations).toBeGreaterThan(4_000);
    await feedAll(other.engine, after);
    for (const space of spaces) await expectSame(other.engine, space);
    for (const space of spaces) await other.engine.indexed(space.config);
    expect(await recallAtTen(other.engine, spaces[0]!, 20)).toBeGreaterThanOrEqual(0.95);
    // What was stored before is not stored again.
    const before = new Set(readdirSync(folder));
    const next = await save(other, store, log);
    const added = readdirSync(folder).filter((name) => !before.has(name));
    expect(added.length).toBeLessThan(before.size);
    expect(added).toContain(next.name);
  });

  test.runIf(platform === 'linux')(
    'symptom: a space that was asked for while it came was opened twice, and one of both had what was applied',
    async () => {
      const [one, other] = [await startEngine(), await startEngine()];
      const folder = scratchFolder();
      const log = new Log();
      const space = new Space(log, namesOn(0, 1)[0]!, { partition: PARTITION, dimension: 64 });
      await feedAll(one.engine, space.fill(6_000, 50));
      await one.engine.indexed(space.config);
      const ref = await save(one, await storeOf(one, folder), log);
      let isOver = false;
      const asking = (async () => {
        while (!isOver) await other.engine.get(space.config, 'row-1');
      })();
      expect(await restore(other, await storeOf(other, folder), ref, [space])).toEqual({
        damaged: [],
      });
      await feed(other.engine, space.write(['later']));
      isOver = true;
      await asking;
      await expectSame(other.engine, space);
      // A merge has its inputs open a second time, until it is done; a second space would keep them so.
      await until('every file is open once', () => {
        const files = openFiles().filter(
          (path) => path.startsWith(other.dataDir) && path.endsWith('.rows'),
        );
        return files.length === new Set(files).size;
      });
    },
  );

  test('is all there without a graph, and without rows it lacks their space only', async () => {
    // Graphs that are large enough to be blobs.
    const large = { segmentBytesMax: 256 * 1024 };
    const writer = await startEngine(large);
    const folder = scratchFolder();
    const log = new Log();
    const spaces = someSpaces(log);
    for (const [i, space] of spaces.entries())
      await feedAll(writer.engine, space.fill(SIZES[i]!, 50));
    for (const space of spaces) await writer.engine.indexed(space.config);
    const ref = await save(writer, await storeOf(writer, folder), log);
    const isRows = (name: string) =>
      readFileSync(join(folder, name)).subarray(0, 16).toString('latin1').includes('ENGS');
    const blobs = readdirSync(folder).filter((name) => name !== ref.name);
    const graphs = blobs.filter((name) => !isRows(name));
    expect([graphs.length > 0, blobs.length > graphs.length]).toEqual([true, true]);
    for (const name of graphs) damage(join(folder, name));
    const one = await startEngine(large);
    expect(await restore(one, await storeOf(one, folder), ref, spaces)).toEqual({ damaged: [] });
    for (const space of spaces) await expectSame(one.engine, space);
    for (const space of spaces) await one.engine.indexed(space.config);
    expect(await recallAtTen(one.engine, spaces[0]!, 20)).toBeGreaterThanOrEqual(0.95);
    // Its graph is another one now, and stored as that.
    const before = new Set(readdirSync(folder));
    await save(one, await storeOf(one, folder), log);
    expect(readdirSync(folder).filter((name) => !before.has(name)).length).toBeGreaterThan(1);

    for (const name of blobs.filter(isRows)) rmSync(join(folder, name));
    const other = await startEngine();
    const { damaged } = await restore(other, await storeOf(other, folder), ref, spaces);
    expect(damaged.map(({ space }) => space)).toContain(spaces[0]!.config.space);
    expect(damaged[0]!.reason).toContain('1.rows is damaged: it is lost');
    const lost = new Set(damaged.map(({ space }) => space));
    const whole = spaces.filter(({ config }) => !lost.has(config.space));
    expect(whole.length).toBeGreaterThan(2);
    for (const space of whole) await expectSame(other.engine, space);
  });

  test('takes the place of spaces that are behind it, whose entries do not come again', async () => {
    const [writer, behind] = [await startEngine(), await startEngine()];
    const folder = scratchFolder();
    const log = new Log();
    const spaces = someSpaces(log);
    const first = spaces.flatMap((space, i) => space.fill(SIZES[i]!, 50));
    for (const { engine } of [writer, behind]) await feedAll(engine, first);
    behind.engine.complete(new Map([[PARTITION, log.sequence]]));
    await behind.engine.refresh();
    // Entries that one of the two never saw.
    await feedAll(
      writer.engine,
      spaces.map((space) => space.write(['missed'])),
    );
    const ref = await save(writer, await storeOf(writer, folder), log);
    const ofOther = await storeOf(behind, folder);
    expect(await restore(behind, ofOther, ref, spaces)).toEqual({ damaged: [] });
    for (const space of spaces) await expectSame(behind.engine, space);
  });

  test('takes the place of all spaces of which one may lack something', async () => {
    const [writer, holed] = [await startEngine(), await startEngine()];
    const folder = scratchFolder();
    const log = new Log();
    const spaces = someSpaces(log);
    const first = spaces.flatMap((space, i) => space.fill(SIZES[i]!, 50));
    for (const { engine } of [writer, holed]) await feedAll(engine, first);
    await feedAll(
      writer.engine,
      spaces.map((space) => space.write(['missed'])),
    );
    const ref = await save(writer, await storeOf(writer, folder), log);
    // The log had let them go before: a reader passes over the hole and calls all complete.
    holed.engine.complete(new Map([[PARTITION, log.sequence + 10]]));
    await holed.engine.checkpoints.distrust(PARTITION);
    expect(await holed.engine.checkpoints.take(PARTITION, log.sequence, '5.1.')).toBeUndefined();
    const ofOther = await storeOf(holed, folder);
    expect(await restore(holed, ofOther, ref, spaces)).toEqual({ damaged: [] });
    for (const space of spaces) await expectSame(holed.engine, space);
    expect(await holed.engine.checkpoints.take(PARTITION, log.sequence, '5.1.')).toBeDefined();
  });

  test.each(['damaged', 'gone'])('takes no file that is %s: the space begins anew', async (how) => {
    for (const isUnloaded of [false, true]) {
      const options = { idleUnloadMs: isUnloaded ? 1 : 1_000_000_000 };
      const started = await startEngine(options);
      const { engine, told, dataDir } = started;
      const log = new Log();
      // One with a graph in a file of its own, and one of a few rows.
      const [large, small] = namesOn(0, 2).map(
        (name) => new Space(log, name, { partition: PARTITION, dimension: 64 }),
      ) as [Space, Space];
      for (const [space, rows] of [
        [large, 3_000],
        [small, 5],
      ] as const) {
        await feedAll(engine, space.fill(rows, 50));
        await engine.indexed(space.config);
      }
      if (isUnloaded)
        await until('they are in files only', async () => (await engine.refresh()).unloaded === 2);
      // A part of the small one is written by a checkpoint, where it is in memory.
      else await engine.checkpoints.take(PARTITION, log.sequence, '5.1.');
      const files = filesUnder(dataDir).filter((path) => path.endsWith('.rows'));
      const ofLarge = files.filter((path) => path.includes(large.config.space));
      const ofSmall = files.filter((path) => path.includes(small.config.space));
      expect(Math.min(ofLarge.length, ofSmall.length)).toBeGreaterThan(0);
      for (const path of [isUnloaded ? ofLarge[0]! : ofSmall[0]!])
        if (how === 'gone') rmSync(path);
        else damage(path);
      const tail = [large, small].map((space) => space.write(['tail']));
      if (!isUnloaded) await feedAll(engine, tail);
      expect(await engine.checkpoints.take(PARTITION, log.sequence, '5.2.')).toBeUndefined();
      await until('the loss is told', () => told.lost.length > 0);
      const [lost] = told.lost;
      expect(lost!.spaces).toEqual([(isUnloaded ? large : small).config.space]);
    }
  });

  test('does not touch what is there, and brings back what a thread took with it', async () => {
    const started = await startEngine({ entry: CRASHING });
    const { engine, told } = started;
    const log = new Log();
    const spaces = someSpaces(log);
    for (const [i, space] of spaces.entries()) await feedAll(engine, space.fill(SIZES[i]!, 50));
    const store = await storeOf(started, scratchFolder());
    const ref = await save(started, store, log);
    const tail = spaces.map((space) => space.write(['tail']));
    await feedAll(engine, tail);
    await feed(engine, spaces[0]!.write(['poison'], { note: 'CRASH-ONCE-c' }));
    await until('the loss is told', () => told.lost.length > 0);
    // What is left of the partition would look like all of it.
    expect(await engine.checkpoints.take(PARTITION, log.sequence, '5.1.')).toBeUndefined();
    expect(await restore(started, store, ref, spaces)).toEqual({ damaged: [] });
    await Promise.all(
      [...tail, ...spaces[0]!.entries.slice(-1)].map((entry) =>
        feed(engine, entry, { isReplay: true }),
      ),
    );
    for (const space of spaces) await expectSame(engine, space);
    const taken = await engine.checkpoints.take(PARTITION, log.sequence, '5.1.');
    expect(taken?.sections).toHaveLength(spaces.length);
    for (const space of spaces) await engine.indexed(space.config);
    await until('nothing changes any more', async () => {
      const again = await engine.checkpoints.take(PARTITION, log.sequence, '5.1.');
      return again?.isChanged === false;
    });
  });
});
