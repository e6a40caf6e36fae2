import { closeSync, openSync, readdirSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ShardEngine } from '../src/index.ts';
import { startEngine, type Lost, type TestEngine } from './engines.ts';
import { expectSame, feed, feedAll, Log, Space } from './spaces.ts';
import { until } from './until.ts';

function files(dataDir: string, ending: string): string[] {
  return readdirSync(dataDir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(dataDir, name))
    .sort();
}

function flip(path: string, at: number, bytes: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(bytes, 0x3f), 0, bytes, at);
  closeSync(file);
}

const UNAVAILABLE = { code: 'PARTITION_UNAVAILABLE' };
const completeTo = (space: Space) => new Map([[space.partition, space.entries.at(-1)!.sequence]]);

async function expectLost({ told, engine }: TestEngine, space: Space): Promise<void> {
  await until('the loss is told', () => told.lost.length > 0);
  const lost: Lost = { partitions: [space.partition], spaces: [space.config.space] };
  expect(told.lost).toEqual([lost]);
  await engine.refresh();
  expect(told.faults.join()).toContain('is damaged');
  await Promise.all(space.entries.map((entry) => feed(engine, entry, { isReplay: true })));
  await expectSame(engine, space);
}

function ask(engine: ShardEngine, space: Space) {
  return engine.recall({
    config: space.config,
    embedding: space.embedding(),
    k: 10,
    include: [],
  });
}

describe('a space whose files are damaged', () => {
  test('while it is unloaded answers nothing short, and has all again once its entries came', async () => {
    const space = new Space(new Log(), 'damaged', { partition: 3 });
    const started = await startEngine({
      idleUnloadMs: 50,
      // What a reader told that had not heard of the loss yet: it must not make the replay stale.
      onLost: () => started.engine.complete(completeTo(space)),
    });
    const { engine, dataDir } = started;
    await feedAll(engine, space.fill(150, 10));
    engine.complete(completeTo(space));
    await until('it is unloaded', async () => {
      const { unloaded, bytes } = await engine.refresh();
      return unloaded === 1 && bytes === 0 && files(dataDir, 'manifest').length > 0;
    });
    flip(files(dataDir, '.rows')[0]!, 100, 4);
    await expect(ask(engine, space)).rejects.toMatchObject(UNAVAILABLE);
    await expectLost(started, space);
    engine.complete(completeTo(space));
    await expectSame(engine, space);
  });

  test('while it is in use loses nothing, and no entry is taken for the fault', async () => {
    const space = new Space(new Log(), 'damaged', { partition: 3 });
    const started = await startEngine({ segmentBytesMax: 16 * 1024 });
    const { engine, dataDir } = started;
    // One segment is sealed, so none is merged meanwhile.
    await feedAll(engine, space.fill(220, 20));
    await engine.indexed(space.config);
    await until('a segment is in files', () => files(dataDir, 'manifest').length > 0);
    for (const path of files(dataDir, '.rows')) truncateSync(path, 100);
    const before = Object.freeze([...space.stored.keys()]);
    const written = await feed(engine, space.write([...before.slice(0, 150), 'new']));
    expect(written.errors).toEqual([]);
    await feed(engine, space.write([], { deletes: before.slice(150, 200) }));
    await Promise.allSettled([ask(engine, space), ask(engine, space)]);
    await expectLost(started, space);
    expect(await ask(engine, space)).toHaveLength(10);
  });

  test('does not get a new checksum by a merge', async () => {
    const log = new Log();
    const space = new Space(log, 'damaged', { partition: 3 });
    const started = await startEngine({ segmentBytesMax: 16 * 1024 });
    const { engine, dataDir, told } = started;
    await feedAll(engine, space.fill(400, 20));
    await engine.indexed(space.config);
    await until('a segment is in files', () => files(dataDir, 'manifest').length > 0);
    for (const path of files(dataDir, '.rows')) flip(path, 64, 64);
    // Until segments are merged that have it.
    for (let round = 0; round < 200 && told.lost.length === 0; round++) {
      await feedAll(engine, space.fill(60, 20));
      await engine.indexed(space.config);
    }
    await expectLost(started, space);
  });
});
