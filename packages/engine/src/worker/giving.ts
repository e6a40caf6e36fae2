import type { GiveAnswer } from '../protocol.ts';
import type { LoadedSpace, SpaceTable } from './space-table.ts';

/** Uses a space, which is not unloaded meanwhile. */
export async function withSpace<T>(
  space: LoadedSpace | undefined,
  missing: T,
  use: (space: LoadedSpace) => T | Promise<T>,
): Promise<T> {
  if (space === undefined) return missing;
  space.users++;
  space.usedAtMs = performance.now();
  try {
    return await use(space);
  } finally {
    space.users--;
  }
}

/** Of the space that waits most. */
export async function giveWork(spaces: SpaceTable, rowsMin: number): Promise<GiveAnswer> {
  let most: LoadedSpace | undefined;
  for (const space of spaces.loaded())
    if (space.upkeep.backlog > (most?.upkeep.backlog ?? rowsMin - 1)) most = space;
  return withSpace<GiveAnswer>(most, undefined, ({ upkeep }) => upkeep.giveWork(rowsMin));
}

/** Segments of some space that are better merged. */
export function giveMerge(spaces: SpaceTable): GiveAnswer {
  for (const { upkeep } of spaces.loaded()) {
    const job = upkeep.giveMerge();
    if (job !== undefined) return job;
  }
  return undefined;
}
