import { randomUUID } from 'node:crypto';
import { ClusterError } from '@engram/model';
import type { LogConnection } from './connection.ts';
import type { LogLayout } from './streams.ts';

const BUCKET = 'engram-cluster';
const LAYOUT = 'layout';
const ID = 'id';

/**
 * Writes down the counts that a cluster is made with, or checks them against what is written: a
 * member with another partition count would read and write other subjects than the rest.
 * @returns the cluster's id, which it keeps as long as its log
 * @throws ClusterError CLUSTER_DIFFERS
 */
export async function agreeOnLayout(
  connection: LogConnection,
  layout: LogLayout,
  replicas: number,
): Promise<string> {
  const kv = await connection.nc.jetstream().views.kv(BUCKET, { history: 1, replicas });
  const wanted = JSON.stringify({
    partitionCount: layout.partitionCount,
    stripeCount: layout.stripeCount,
  });
  // `create` fails when another member wrote first; then the comparison below decides.
  await kv.create(LAYOUT, wanted).catch(() => undefined);
  const written = (await kv.get(LAYOUT))?.string();
  if (written !== wanted)
    throw new ClusterError(
      'CLUSTER_DIFFERS',
      `the cluster was made with ${written ?? 'nothing'}, this member has ${wanted}`,
      { hint: 'set ENGRAM_PARTITIONS and ENGRAM_STRIPES to what the cluster was made with' },
    );
  await kv.create(ID, randomUUID()).catch(() => undefined);
  const id = (await kv.get(ID))?.string();
  if (id === undefined) throw new ClusterError('LOG_UNAVAILABLE', 'the cluster has no id yet');
  return id;
}
