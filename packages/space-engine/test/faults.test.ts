import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { ClusterError } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import { buildSegment } from '../src/segment-build.ts';
import { UNHURRIED } from '../src/pace.ts';
import { clustered, configOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { apply, finish, graph, ids, seal } from './spaces.ts';

const DIMENSION = 1_024;
const vectors = clustered(600, DIMENSION, 51);
const puts = vectors.map((embedding, i) => ({ id: `row ${i}`, embedding }));
/** Calls of `tend` until a failed write is tried again. */
const TENDS = 101;

/** A space whose folder's place can be taken by a file, so that nothing can be written. */
function fragileSpace() {
  const faults: ClusterError[] = [];
  const folder = join(scratchFolder(), 'space');
  const options = optionsOf(folder, {
    graphThreshold: 100,
    onFault: (error) => faults.push(error),
  });
  const space = emptySpace(configOf({ dimension: DIMENSION }), options);
  const block = () => {
    rmSync(folder, { recursive: true, force: true });
    writeFileSync(folder, 'not a folder');
  };
  const repair = () => rmSync(folder);
  return { space, faults, folder, block, repair };
}

async function expectWhole({ engine }: OpenSpace): Promise<void> {
  expect(engine.count).toBe(600);
  const differing = puts.filter(
    ({ id, embedding }) => !isDeepStrictEqual(engine.get(id)?.embedding, embedding),
  );
  expect(differing).toEqual([]);
  const hits = await engine.recall({ embedding: vectors[9]!, k: 601, ef: 601 });
  expect(hits[0]).toMatchObject({ id: 'row 9' });
  expect(new Set(ids(hits)).size).toBe(600);
}

async function tendUntilDone({ upkeep }: OpenSpace): Promise<void> {
  for (let call = 0; call < TENDS; call++) await upkeep.tend();
  expect(upkeep.isUntended).toBe(false);
}

describe('what cannot be removed', () => {
  test('of a space that is destroyed is reported, and the next one begins', async () => {
    const { space, faults, folder } = fragileSpace();
    const within = join(folder, 'file', 'space');
    mkdirSync(folder);
    writeFileSync(dirname(within), 'not a folder');
    const options = { ...space.engine.options, folder: within };
    await emptySpace(space.engine.config, options).upkeep.destroy();
    expect(faults).toEqual([expect.objectContaining({ code: 'INTERNAL' })]);
    expect(faults[0]!.message).toContain(within);
  });
});

describe('what cannot be written', () => {
  test('of a full segment stays in memory, is reported, rests and is tried again (U3)', async () => {
    const { space, faults, block, repair } = fragileSpace();
    const { engine, upkeep } = space;
    apply(space, 1, puts);
    engine.segments.roll();
    graph(space);
    block();
    await upkeep.tend();
    expect(faults).toHaveLength(1);
    expect(engine.segments.sealed).toHaveLength(0);
    await expectWhole(space);
    // It is not tried at once, and nothing is reported again and again.
    for (let call = 0; call < 50; call++) expect(await upkeep.tend()).toBe(false);
    expect(await upkeep.giveWork(1)).toBeUndefined();
    expect(upkeep.isUntended).toBe(true);
    expect(faults).toHaveLength(1);
    repair();
    await tendUntilDone(space);
    expect(faults).toHaveLength(1);
    expect(engine.segments.sealed).toHaveLength(1);
    await expectWhole(space);
  });

  test('of a graph stays in memory too', async () => {
    const { space, faults, folder } = fragileSpace();
    apply(space, 1, puts);
    space.engine.segments.roll();
    graph(space);
    mkdirSync(join(folder, '1.graph.tmp', 'deep'), { recursive: true });
    await space.upkeep.tend();
    expect(faults).toHaveLength(1);
    await expectWhole(space);
    await tendUntilDone(space);
    expect(faults).toHaveLength(1);
    expect(space.engine.segments.sealed).toHaveLength(1);
    await expectWhole(space);
  });

  test('of work to give away leaves the work here', async () => {
    const { space, faults, block, repair } = fragileSpace();
    const { engine, upkeep } = space;
    apply(space, 1, puts);
    block();
    expect(await upkeep.giveWork(50)).toBeUndefined();
    expect(faults).toHaveLength(1);
    expect(upkeep.backlog).toBe(600);
    await expectWhole(space);
    repair();
    for (let call = 0; call < TENDS; call++) await upkeep.tend();
    await finish(space, await upkeep.giveWork(50));
    expect(engine.segments.sealed).toHaveLength(1);
    await seal(space);
    expect(faults).toHaveLength(1);
    await expectWhole(space);
  });

  test('of work that was done elsewhere is built here', async () => {
    const { space, faults, folder } = fragileSpace();
    apply(space, 1, puts);
    const job = (await space.upkeep.giveWork(50))!;
    const built = await buildSegment(job, UNHURRIED);
    rmSync(job.graphPath);
    await space.upkeep.finish(built);
    expect(faults.map(({ code }) => code)).toEqual(['SEGMENT_DAMAGED']);
    expect(space.upkeep.backlog).toBe(600);
    await expectWhole(space);
    await seal(space);
    await expectWhole(space);
    const opened = await openSpace(space.engine.config, optionsOf(folder));
    await expectWhole(opened);
  });

  test('of a space to unload leaves it open', async () => {
    const { space, faults, block, repair } = fragileSpace();
    apply(space, 1, puts);
    graph(space);
    block();
    expect(await space.upkeep.unload()).toBe(false);
    expect(faults).toHaveLength(1);
    await expectWhole(space);
    repair();
    expect(await space.upkeep.unload()).toBe(true);
    const opened = await openSpace(space.engine.config, space.engine.options);
    expect(opened.isDamaged).toBe(false);
    await expectWhole(opened);
  });

  test('by a builder is no work done, and leaves no file', async () => {
    const { space } = fragileSpace();
    apply(space, 1, puts);
    const job = (await space.upkeep.giveWork(50))!;
    mkdirSync(join(job.graphPath, 'deep'), { recursive: true });
    await expect(buildSegment(job, UNHURRIED)).rejects.toThrow();
    rmSync(job.graphPath, { recursive: true });
    const [input] = job.inputs;
    rmSync(input!.path);
    await expect(buildSegment(job, UNHURRIED)).rejects.toThrow(/damaged/);
    space.upkeep.abandon(job.id);
    await seal(space);
    await expectWhole(space);
    expect(dirname(input!.path)).toBe(space.engine.options.folder);
  });
});
