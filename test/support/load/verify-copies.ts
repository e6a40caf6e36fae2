import { EngramClient, type VerifyResult } from '@engram/client';
import { parseSpaceId, partitionOf } from '@engram/model';
import { until } from '../until.ts';
import type { LoadSpace } from './recording-client.ts';

/** What the cluster itself says of one copy of a space, held against its log. */
export type CopyVerdict = Pick<
  VerifyResult,
  'space' | 'shard' | 'ok' | 'isExact' | 'basis' | 'counts' | 'totals' | 'reasons'
>;

const DEADLINE_MS = 120_000;

/**
 * Has every copy of every space verified, when all is quiet. A shard that does not answer, as one whose
 * partition moves because a busy machine kept it from its heartbeats, is asked again.
 */
export async function verifyCopies(
  url: string,
  spaces: readonly LoadSpace[],
): Promise<CopyVerdict[]> {
  const client = new EngramClient({ url });
  const verdicts: CopyVerdict[] = [];
  for (const { name } of spaces)
    verdicts.push(
      ...(await until(
        `each copy of ${name} is verified`,
        () => ofSpace(client, name),
        DEADLINE_MS,
      )),
    );
  return verdicts;
}

async function ofSpace(client: EngramClient, space: string): Promise<CopyVerdict[]> {
  const { partitionCount, partitions } = await client.ring();
  const wanted = partitionOf(parseSpaceId(space), partitionCount);
  const owners = partitions.find(({ partition }) => partition === wanted)?.owners ?? [];
  if (owners.length === 0) throw new Error(`${space} has no owner`);
  const verdicts: CopyVerdict[] = [];
  for (const shard of owners) {
    const { ok, isExact, basis, counts, totals, reasons } = await client.verify(space, { shard });
    verdicts.push({ space, shard, ok, isExact, basis, counts, totals, reasons });
  }
  return verdicts;
}
