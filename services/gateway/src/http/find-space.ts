import type { SpaceDirectory } from '@engram/log';
import { ClusterError, parseSpaceId, type SpaceConfig } from '@engram/model';
import { may, type Principal } from '../auth/principal.ts';
import { distance } from 'fastest-levenshtein';

const SUGGESTIONS_MAX = 3;

/** @throws ClusterError INVALID_SPACE_NAME, SPACE_NOT_FOUND with the near names that may be known */
export async function findSpace(
  directory: Pick<SpaceDirectory, 'find' | 'list'>,
  principal: Principal,
  name: unknown,
  pointer = '#space',
): Promise<SpaceConfig> {
  const space = parseSpaceId(name, pointer);
  const config = await directory.find(space);
  if (config !== undefined) return config;
  const near = directory
    .list()
    .filter((each) => may(principal, 'read', each.space))
    .map((each) => ({
      name: each.space,
      edits: distance(each.space.toLowerCase(), space.toLowerCase()),
    }))
    .filter(({ name: other, edits }) => edits <= Math.max(2, Math.floor(other.length / 3)))
    .sort((left, right) => left.edits - right.edits)
    .slice(0, SUGGESTIONS_MAX)
    .map((each) => each.name as string);
  throw new ClusterError('SPACE_NOT_FOUND', `there is no space ${space}`, {
    pointer,
    hint:
      near.length > 0
        ? `did you mean ${near.join(', ')}?`
        : `create it: PUT /v1/spaces/${space} {"dimension": N}`,
    details: near.length > 0 ? { near } : {},
  });
}
