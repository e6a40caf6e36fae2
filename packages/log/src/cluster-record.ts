import { ClusterError } from '@engram/model';
import type { LogConnection } from './connection.ts';
import type { LogLayout } from './streams.ts';

const BUCKET = 'engram-cluster';
const KEY = 'layout';

/**
 * Writes down the counts that a cluster is made with, or checks them against what is written: a
 * member with another partition count would read and write other subjects than the rest.
 * @throws ClusterError CLUSTER_DIFFERS
 */
export async function agreeOnLayout(
  connection: LogConnection,
  layout: LogLayout,
  replicas: number,
): Promise<void> {
  const kv = await connection.nc.jetstream().views.kv(BUCKET, { history: 1, replicas });
  const wanted = JSON.stringify({
    partitionCount: layout.partitionCount,
    stripeCount: layout.stripeCount,
  });
  // `create` fails when another member wrote first; then the comparison below decides.
  const created = await kv.create(KEY, wanted).catch(() => undefined);
  if (created !== undefined) return;
  const written = (await kv.get(KEY))?.string();
  if (written !== wanted)
    throw new ClusterError(
      'CLUSTER_DIFFERS',
      `the cluster was made with ${written ?? 'nothing'}, this member has ${wanted}`,
      { hint: 'set ENGRAM_PARTITIONS and ENGRAM_STRIPES to what the cluster was made with' },
    );
}
