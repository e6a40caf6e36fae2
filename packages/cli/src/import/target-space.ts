import type { EngramClient, SpaceStatus } from '@engram/client';
import { ClusterError, type Metric, type Observation } from '@engram/model';
import type { Row } from './row.ts';

/**
 * The space to import into; undefined when it is still to be made.
 * @throws ClusterError SPACE_NOT_FOUND when it is not to be made, SPACE_DIFFERS when it is another
 */
export async function findSpace(
  client: EngramClient,
  space: string,
  { create, metric }: { readonly create: boolean; readonly metric: Metric | undefined },
): Promise<SpaceStatus | undefined> {
  let found: SpaceStatus;
  try {
    found = await client.space(space);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'SPACE_NOT_FOUND') throw error;
    if (create) return undefined;
    throw new ClusterError('SPACE_NOT_FOUND', `there is no space ${space}`, {
      hint: 'add --create to make it',
      cause: error,
    });
  }
  if (metric === undefined || metric === found.metric) return found;
  throw new ClusterError('SPACE_DIFFERS', `the space ${space} has the metric ${found.metric}`);
}

/** Passes the rows on and makes the space when the first embedding has told its dimension. */
export async function* makingSpace(
  rows: AsyncIterable<Row>,
  make: (dimension: number) => Promise<unknown>,
): AsyncGenerator<Row, void> {
  let made = false;
  for await (const row of rows) {
    if (!made && 'observation' in row) {
      const dimension = dimensionOf(row.observation);
      if (dimension > 0) {
        await make(dimension);
        made = true;
      }
    }
    yield row;
  }
}

/** 0 for what is no embedding; the file may hold anything. */
function dimensionOf({ embedding }: Observation): number {
  if (typeof embedding === 'string') return Buffer.byteLength(embedding, 'base64') >> 2;
  return Array.isArray(embedding) ? embedding.length : 0;
}
