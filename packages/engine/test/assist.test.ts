import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planAssist, type WorkerLoad } from '../src/assist.ts';
import { CRASHING, startEngine } from './engines.ts';
import { expectSame, feed, feedAll, Log, namesOn, recallAtTen, Space } from './spaces.ts';
import { until } from './until.ts';
import { seededRandom } from '../../../test/support/random.ts';

const load = (backlog: number, hasJob = false): WorkerLoad => ({ backlog, hasJob });

describe('the plan of who helps whom', () => {
  test.each([
    ['nobody has much', [load(99), load(0)], undefined],
    ['one has', [load(100), load(99)], { owner: 0, helper: 1 }],
    ['the other has', [load(0), load(500)], { owner: 1, helper: 0 }],
    ['all have', [load(100), load(500)], undefined],
    ['the helper has a job', [load(500), load(0, true)], undefined],
    ['an owner has a job', [load(500, true), load(0)], { owner: 0, helper: 1 }],
    ['the busiest is helped', [load(200), load(500), load(0)], { owner: 1, helper: 2 }],
    ['the idlest helps', [load(90), load(500), load(20), load(50)], { owner: 1, helper: 2 }],
    ['the idlest without a job', [load(0, true), load(500), load(20)], { owner: 1, helper: 2 }],
    ['there is one', [load(5_000)], undefined],
    ['there is none', [], undefined],
  ] as const)('%s', (_name, loads, plan) => {
    expect(planAssist(loads, 100)).toEqual(plan);
  });

  test('W1: the busiest is helped by one that has neither a job nor much to do (property)', () => {
    const loads = fc.array(fc.record({ backlog: fc.nat(300), hasJob: fc.boolean() }), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(loads, (all) => {
        const plan = planAssist(all, 100);
        const owners = all.filter(({ backlog }) => backlog >= 100);
        const helpers = all.filter(({ backlog, hasJob }) => backlog < 100 && !hasJob);
        expect(plan === undefined).toBe(owners.length === 0 || helpers.length === 0);
        if (plan === undefined) return;
        expect(all[plan.owner]!.backlog).toBe(Math.max(...owners.map(({ backlog }) => backlog)));
        expect(helpers).toContain(all[plan.helper]);
        expect(all[plan.helper]!.backlog).toBe(Math.min(...helpers.map(({ backlog }) => backlog)));
      }),
    );
  });
});

/** Graphs that take their time, in segments of some hundred rows. */
const SLOW = { dimension: 64, m: 32, efConstruction: 300, quantization: 'f32' } as const;
const STEALING = { stealThreshold: 300, segmentBytesMax: 128 * 1024, entry: CRASHING } as const;

describe('a worker that cannot keep up', () => {
  test('has segments built by an idle one, and every row is found all the time', async () => {
    const { engine, told } = await startEngine(STEALING);
    const space = new Space(new Log(), namesOn(0, 1)[0]!, SLOW);
    await feedAll(engine, space.fill(6_000, 100));
    let isIndexed = false;
    const indexed = engine.indexed(space.config).then(() => (isIndexed = true));
    let worst = 1;
    while (!isIndexed) worst = Math.min(worst, await recallAtTen(engine, space, 5));
    await indexed;
    expect(engine.assists.stolen).toBeGreaterThan(0);
    expect(worst).toBeGreaterThanOrEqual(0.9);
    expect(await recallAtTen(engine, space, 30)).toBeGreaterThanOrEqual(0.95);
    expect(await engine.stats(space.config)).toMatchObject({ count: 6_000, indexed: 6_000 });
    await expectSame(engine, space);
    expect(told).toMatchObject({ crashes: [], faults: [] });
  });

  test('W2: builds itself what a thief that ended left undone', async () => {
    const { engine, told, dataDir } = await startEngine(STEALING);
    writeFileSync(join(dataDir, 'crash-at-build'), '');
    const space = new Space(new Log(), namesOn(0, 1)[0]!, SLOW);
    await feedAll(engine, space.fill(4_000, 100));
    await engine.indexed(space.config);
    expect(told.crashes.map(({ worker }) => worker)).toEqual([1]);
    expect(told.lost).toEqual([]);
    expect(await engine.stats(space.config)).toMatchObject({ count: 4_000, indexed: 4_000 });
    expect(await recallAtTen(engine, space, 20)).toBeGreaterThanOrEqual(0.95);
    await expectSame(engine, space);
  });

  test('that ends while its segments are built elsewhere has them all in the end', async () => {
    const { engine, told } = await startEngine(STEALING);
    const space = new Space(new Log(), namesOn(0, 1)[0]!, SLOW);
    await feedAll(engine, space.fill(4_000, 100));
    await until('a segment was built elsewhere', () => engine.assists.stolen > 0);
    await feed(engine, space.write(['poison'], { note: 'CRASH-ONCE-a' }));
    expect(told.lost).toHaveLength(1);
    await feedAll(engine, space.entries);
    await engine.indexed(space.config);
    await expectSame(engine, space);
    expect(await recallAtTen(engine, space, 20)).toBeGreaterThanOrEqual(0.95);
  });

  test('symptom: what was built for a deleted space was taken for the next one of its name', async () => {
    const { engine, told, dataDir } = await startEngine({
      ...STEALING,
      workers: 3,
      idleUnloadMs: 1_000,
    });
    const log = new Log();
    const building = join(dataDir, 'building-again');
    let space = new Space(log, 'again', SLOW);
    for (let round = 1; round <= 6; round++) {
      await feedAll(engine, space.fill(2_000, 100));
      await until('work was taken over', () => existsSync(building));
      engine.dropSpace(space.config.space);
      rmSync(building);
      space = new Space(log, 'again', { ...SLOW, afterSequence: log.sequence, seed: round });
    }
    await feedAll(engine, space.fill(2_000, 100));
    await engine.indexed(space.config);
    await expectSame(engine, space);
    expect(await recallAtTen(engine, space, 20)).toBeGreaterThanOrEqual(0.95);
    // Its files are its own too.
    await until('it is unloaded', async () => (await engine.refresh()).unloaded === 1);
    await feed(engine, space.write(['row-1']));
    await expectSame(engine, space);
    expect(await recallAtTen(engine, space, 20)).toBeGreaterThanOrEqual(0.95);
    // What was built in vain is told, no more.
    expect(told.crashes).toEqual([]);
  });

  test('symptom: files of a deleted space that were gone before they were built emptied the next of its name', async () => {
    const { engine, told, dataDir } = await startEngine(STEALING);
    const hold = join(dataDir, 'hold-build');
    writeFileSync(hold, '');
    const log = new Log();
    const name = namesOn(0, 1)[0]!;
    const deleted = new Space(log, name, SLOW);
    await feedAll(engine, deleted.fill(2_000, 100));
    await until('work was taken over', () => existsSync(join(dataDir, `building-${name}`)));
    engine.dropSpace(deleted.config.space);
    const space = new Space(log, name, { ...SLOW, afterSequence: log.sequence, seed: 2 });
    await feedAll(engine, space.fill(250, 50));
    rmSync(hold);
    const isOver = () => told.faults.length > 0 || engine.assists.vain > 0;
    await until('the work was in vain', isOver);
    await expectSame(engine, space);
    expect(told.lost).toEqual([]);
  });

  test('symptom: a partition that moved away while it was built elsewhere was told as damaged files', async () => {
    const { engine, told, dataDir } = await startEngine(STEALING);
    const hold = join(dataDir, 'hold-build');
    writeFileSync(hold, '');
    const space = new Space(new Log(), namesOn(0, 1)[0]!, SLOW);
    await feedAll(engine, space.fill(2_000, 100));
    const { space: name } = space.config;
    await until('work was taken over', () => existsSync(join(dataDir, `building-${name}`)));
    engine.dropPartitions([space.partition]);
    expect((await engine.stats(space.config)).count).toBe(0); // its folder is gone
    rmSync(hold);
    await until('the work was in vain', () => engine.assists.vain > 0);
    expect([told.faults, told.lost, told.crashes]).toEqual([[], [], []]);
  });

  test('a wait for the index of a space that is deleted while it is built elsewhere ends', async () => {
    const { engine } = await startEngine(STEALING);
    const space = new Space(new Log(), namesOn(0, 1)[0]!, SLOW);
    await feedAll(engine, space.fill(3_000, 100));
    await until('work was taken over', () => engine.assists.stolen > 0);
    const waiting = engine.indexed(space.config);
    engine.dropPartitions([space.partition]);
    await waiting;
    expect((await engine.stats(space.config)).count).toBe(0);
  });
});

describe('small segments', () => {
  test('are merged, and nothing is missing or doubled meanwhile', async () => {
    const { engine, told } = await startEngine({
      segmentBytesMax: 16 * 1024,
      graphThreshold: 100,
    });
    const random = seededRandom(7);
    const space = new Space(new Log(), namesOn(0, 1)[0]!);
    await feedAll(engine, space.fill(1_500, 25));
    const idOf = () => [...space.stored.keys()][Math.floor(random() * space.stored.size)]!;
    for (let round = 0; round < 40; round++) {
      const puts = new Set([`new-${round}`, ...Array.from({ length: 8 }, idOf)]);
      const deletes = new Set(Array.from({ length: 4 }, idOf));
      await feed(
        engine,
        space.write([...puts], { deletes: [...deletes].filter((id) => !puts.has(id)) }),
      );
      expect(await recallAtTen(engine, space, 2)).toBeGreaterThanOrEqual(0.7);
      expect((await engine.stats(space.config)).count).toBe(space.stored.size);
      if (round % 10 === 0) await expectSame(engine, space);
    }
    await until('segments are merged', () => engine.assists.merged > 0);
    await engine.indexed(space.config);
    await expectSame(engine, space);
    expect(await recallAtTen(engine, space, 30)).toBeGreaterThanOrEqual(0.95);
    expect(told.faults).toEqual([]);
  });
});
