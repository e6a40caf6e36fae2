import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { LANES } from '@engram/model';
import { describe, expect, test } from 'vitest';
import type { Manifest } from '../src/manifest.ts';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import type { StoredObservation } from '../src/segment.ts';
import { FILE_NAME } from '../src/manifest.ts';
import { UNHURRIED } from '../src/pace.ts';
import { buildSegment } from '../src/segment-build.ts';
import { exportSpace } from '../src/space-export.ts';
import { clustered, configOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import {
  apply,
  checkpoint,
  expectSame,
  finish,
  graph,
  rest,
  ids,
  recallAt,
  seal,
  spaceOf,
} from './spaces.ts';

const DIMENSION = 6;
const vectors = clustered(2_000, DIMENSION, 77);
const names = Array.from({ length: 150 }, (_, i) => `row ${i}`);

/** Entry after entry: puts of some ids, deletes of others. */
const entries = Array.from({ length: 60 }, (_, part) => {
  const put = (i: number) => names[(part * 17 + i * 7) % names.length]!;
  const puts = Array.from({ length: 20 }, (_, i) => ({
    id: put(i),
    embedding: vectors[part * 20 + i]!,
    metadata: { part, i },
  }));
  return frameOf(
    puts,
    [1, 2]
      .map((i) => names[(part * 29 + i) % names.length]!)
      .filter((id) => !puts.some((each) => each.id === id)),
  );
});

function write({ engine }: OpenSpace, from: number, to: number): void {
  for (let i = from; i < to; i++) engine.apply(entries[i]!, i + 1, LANES[i % 3]!);
}

/** What was there is there, or what an entry since then, and up to `written`, made of it. */
function expectSince(
  { engine }: OpenSpace,
  before: StoredObservation | undefined,
  id: string,
  written: number,
): void {
  if (before === undefined) return;
  const now = engine.get(id);
  if (now !== undefined) {
    expect(now.sequence).toBeGreaterThanOrEqual(before.sequence);
    return;
  }
  const deletes = entries
    .slice(before.sequence, written)
    .flatMap((frame) =>
      Array.from({ length: frame.deleteCount }, (_, i) => frame.id(frame.putCount + i)),
    );
  expect(deletes).toContain(id);
}

/** What another machine gets, opened there. */
async function carried({ engine }: OpenSpace, manifest: Manifest): Promise<OpenSpace> {
  const folder = join(scratchFolder(), 'elsewhere');
  await mkdir(folder);
  const exported = exportSpace(engine.options.folder, manifest);
  for (const { name, path } of exported.files) await copyFile(path, join(folder, name));
  await writeFile(join(folder, FILE_NAME), Buffer.concat(exported.manifest));
  const opened = await openSpace(engine.config, { ...engine.options, folder });
  expect(opened.isDamaged).toBe(false);
  return opened;
}

describe('a checkpoint', () => {
  test('has everything that was applied before, whatever goes on beside it (property)', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('write' as const),
          count: fc.integer({ min: 1, max: 6 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('graph' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('seal' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('merge' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('checkpoint' as const),
          beside: fc.integer({ min: 0, max: 4 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), async (steps) => {
        let space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 60, snapshotKeepMs: 0 });
        let written = 0;
        const writeMore = (count: number) => {
          const to = Math.min(entries.length, written + count);
          write(space, written, to);
          written = to;
        };
        for (const [at, each] of steps.entries()) {
          if (each.do === 'write') writeMore(each.count);
          if (each.do === 'graph') graph(space);
          if (each.do === 'seal') await seal(space);
          if (each.do === 'tick') space.upkeep.tick(at, false);
          if (each.do === 'merge') {
            const job = space.upkeep.giveMerge();
            if (job !== undefined) await finish(space, job);
          }
          if (each.do === 'reopen') {
            rest(space);
            graph(space);
            expect(await space.upkeep.unload()).toBe(true);
            space = await openSpace(space.engine.config, space.engine.options);
          }
          if (each.do !== 'checkpoint') continue;
          space.engine.complete(written);
          const completeTo = written;
          const taken = checkpoint(space);
          for (let i = 0; i < each.beside; i++) {
            writeMore(1);
            space.upkeep.tick(at, false);
            await new Promise(setImmediate);
          }
          const manifest = await taken;
          expect(manifest!.completeTo).toBeGreaterThanOrEqual(completeTo);
          const other = await carried(space, manifest!);
          const then = spaceOf({ dimension: DIMENSION }, { graphThreshold: Infinity });
          write(then, 0, completeTo);
          for (const name of names) expectSince(other, then.engine.get(name), name, written);
          write(other, completeTo, written);
          const exact = spaceOf({ dimension: DIMENSION }, { graphThreshold: Infinity });
          write(exact, 0, written);
          expectSame(other, exact, names);
          if (written > 0)
            expect(await recallAt(200, other, exact, vectors.slice(0, 2), { ef: 400 })).toBe(1);
          other.engine.segments.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  test('symptom: what was written again while it was made was in it neither as it was nor as it is', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    const put = (sequence: number, id: string) =>
      apply(space, sequence, [{ id, embedding: vectors[sequence]! }]);
    put(1, 'sealed');
    await seal(space);
    put(2, 'part');
    await checkpoint(space);
    put(3, 'new');
    space.engine.complete(3);
    const taken = checkpoint(space);
    await new Promise(setImmediate); // it writes rows now
    for (const [at, id] of ['sealed', 'part', 'new'].entries()) put(4 + at, id);
    const manifest = (await taken)!;
    expect(manifest.completeTo).toBe(3);
    const other = await carried(space, manifest);
    const sequences = ['sealed', 'part', 'new'].map((id) => other.engine.get(id)?.sequence);
    expect(sequences).toEqual([1, 2, 3]);
  });

  test('symptom: what was written again and deleted while it was made was back for good', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    const put = (sequence: number) => frameOf([{ id: 'a', embedding: vectors[sequence]! }]);
    const entries = [put(1), put(2), frameOf([], ['a'])];
    const bring = ({ engine }: OpenSpace, at: number) =>
      engine.apply(entries[at]!, at + 1, 'normal');
    bring(space, 0);
    space.engine.complete(1);
    const taken = checkpoint(space);
    await new Promise(setImmediate); // it writes rows now
    bring(space, 1);
    bring(space, 2);
    const manifest = (await taken)!;
    expect(manifest.completeTo).toBe(1);
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const other = await carried(space, manifest);
      expect(other.engine.get('a')?.sequence).toBe(1);
      for (const at of order) bring(other, at);
      expect(other.engine.get('a')).toBeUndefined();
      expect(other.engine.stats.count).toBe(0);
    }
  });

  test('writes rows once, and what did not change not again', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    const { folder } = space.engine.options;
    write(space, 0, 2);
    const { changes } = space.upkeep;
    const first = await checkpoint(space);
    expect(space.upkeep.changes).toBe(changes);
    expect(first!.segments).toHaveLength(1);
    expect(await checkpoint(space)).toEqual(first);
    write(space, 2, 3);
    expect(space.upkeep.changes).toBeGreaterThan(changes);
    const second = await checkpoint(space);
    expect(second!.segments).toHaveLength(2);
    expect(second!.segments[0]!.checksum).toBe(first!.segments[0]!.checksum);
    expect((await readdir(folder)).toSorted()).toEqual(['1.rows', '2.rows', FILE_NAME]);
  });

  test('keeps its files until they are used, though merges end meanwhile', async () => {
    const space = spaceOf({ dimension: DIMENSION }, { graphThreshold: 10 });
    const { folder } = space.engine.options;
    for (let i = 0; i < 12; i++) {
      write(space, i, i + 1);
      await seal(space);
    }
    const job = space.upkeep.giveMerge()!;
    const built = await buildSegment(job, UNHURRIED);
    let merged: Promise<void> | undefined;
    const found = await space.upkeep.checkpoint(async ({ segments }) => {
      merged = space.upkeep.finish(built);
      for (let turn = 0; turn < 50; turn++) await readdir(folder);
      const files = await readdir(folder);
      return segments.every(({ file }) => files.includes(`${file}.rows`));
    });
    expect(found).toBe(true);
    await merged;
    const gone = job.inputs.map(({ path }) => basename(path));
    expect((await readdir(folder)).filter((name) => gone.includes(name))).toEqual([]);
  });

  test('says what went wrong where it was used, and can be made again at once', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    write(space, 0, 2);
    const failed = space.upkeep.checkpoint(() => Promise.reject(new Error('no room')));
    await expect(failed).rejects.toThrow('no room');
    expect(await checkpoint(space)).toBeDefined();
  });

  test('after very many has few files', async () => {
    const space = spaceOf({ dimension: DIMENSION });
    for (let i = 0; i < 40; i++) {
      write(space, i, i + 1);
      await checkpoint(space);
    }
    const manifest = await checkpoint(space);
    expect(manifest!.segments.length).toBeLessThanOrEqual(8);
    const other = await carried(space, manifest!);
    expectSame(other, space, names);
    expect(ids(await other.engine.recall({ embedding: vectors[0]!, k: 200 })).toSorted()).toEqual(
      ids(await space.engine.recall({ embedding: vectors[0]!, k: 200 })).toSorted(),
    );
  });

  test('that cannot be written says so, and the next one has all', async () => {
    const folder = join(scratchFolder(), 'file', 'space');
    const faults: unknown[] = [];
    const options = optionsOf(folder, { onFault: (error) => faults.push(error) });
    await writeFile(join(folder, '..'), 'not a folder');
    const space = emptySpace(configOf({ dimension: DIMENSION }), options);
    apply(space, 1, [{ id: 'a', embedding: vectors[0]! }]);
    expect(await checkpoint(space)).toBeUndefined();
    expect(faults).toHaveLength(1);
  });
});
