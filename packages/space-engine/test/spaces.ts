import { isDeepStrictEqual } from 'node:util';
import type { Lane } from '@engram/model';
import { expect } from 'vitest';
import type { Manifest } from '../src/manifest.ts';
import { emptySpace, type OpenSpace } from '../src/open-space.ts';
import type { Hit } from '../src/hit-pages.ts';
import type { EngineOptions } from '../src/options.ts';
import { UNHURRIED } from '../src/pace.ts';
import { buildSegment, type BuildJob } from '../src/segment-build.ts';
import type { ApplyResult, RecallQuery } from '../src/space-engine.ts';
import { configOf, frameOf, optionsOf, type Put } from './frames.ts';
import { scratchFolder } from './scratch.ts';

/** A space in a folder of its own that is gone after the test. */
export function spaceOf(
  config: Parameters<typeof configOf>[0],
  options: Partial<EngineOptions> = {},
): OpenSpace {
  return emptySpace(configOf(config), optionsOf(scratchFolder(), options));
}

export function apply(
  { engine }: OpenSpace,
  sequence: number,
  puts: readonly Put[],
  deletes: readonly string[] = [],
  lane: Lane = 'normal',
): ApplyResult {
  return engine.apply(frameOf(puts, deletes), sequence, lane);
}

/** Time goes by without a write: no row died since the last look, and every graph is worth building. */
export function rest({ engine }: Pick<OpenSpace, 'engine'>): void {
  for (const segment of engine.segments.memory)
    for (let look = 0; look < 2; look++) segment.look(0);
}

/** Every row that waits goes into a graph. */
export function graph({ upkeep }: Pick<OpenSpace, 'upkeep'>): void {
  while (upkeep.buildGraph(() => false)) continue;
}

/** Every row that there is goes into a file, in one segment more than there were. */
export async function seal(space: OpenSpace): Promise<void> {
  if (space.engine.segments.growing.rows > 0) space.engine.segments.roll();
  graph(space);
  while (await space.upkeep.tend()) continue;
  expect(space.upkeep.isUntended).toBe(false);
}

/** Another thread's part, done here. */
export async function finish({ upkeep }: OpenSpace, job: BuildJob | undefined): Promise<void> {
  expect(job).toBeDefined();
  await upkeep.finish(await buildSegment(job!, UNHURRIED));
}

/** @returns what the checkpoint is made of */
export function checkpoint({ upkeep }: OpenSpace): Promise<Manifest | undefined> {
  return upkeep.checkpoint((manifest) => Promise.resolve(manifest));
}

export function ids(hits: readonly { readonly id: string }[]): string[] {
  return hits.map(({ id }) => id);
}

/**
 * Share of the nearest that a space finds, of those that an exact one knows. Every hit of both has
 * the same score.
 */
export async function recallAt(
  k: number,
  space: OpenSpace,
  exact: OpenSpace,
  queries: readonly Float32Array[],
  more: Partial<RecallQuery> = {},
): Promise<number> {
  let found = 0;
  let wanted = 0;
  for (const embedding of queries) {
    const right = await exact.engine.recall({ embedding, k, ...more });
    const hits = await space.engine.recall({ embedding, k, ...more });
    expect(hits).toHaveLength(right.length);
    const scores = new Map(right.map(({ id, score }: Hit) => [id, score]));
    for (const { id, score } of hits) {
      const expected = scores.get(id);
      if (expected === undefined) continue;
      expect(score).toBeCloseTo(expected, 6);
      found++;
    }
    wanted += right.length;
  }
  return found / wanted;
}

/** Both hold the same observations, component for component. */
export function expectSame(space: OpenSpace, exact: OpenSpace, all: Iterable<string>): void {
  expect(space.engine.stats.count).toBe(exact.engine.stats.count);
  const differing = [...all].filter(
    (id) => !isDeepStrictEqual(space.engine.get(id), exact.engine.get(id)),
  );
  expect(differing).toEqual([]);
}
