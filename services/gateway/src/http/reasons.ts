// Why a cluster is degraded, as sentences for people.

import type { ShardSignal } from '@engram/admission';
import { LANES, type Lane, type MemberId } from '@engram/model';

/** What a gateway knows of its cluster. */
export interface Seen {
  readonly hasNats: boolean;
  readonly hasRedis: boolean;
  /** Partitions that no shard answers for. */
  readonly unserved: number;
  readonly shards: readonly { readonly id: MemberId; readonly signal: ShardSignal | undefined }[];
}

/** Nothing where all is well. */
export function reasonsOf({ hasNats, hasRedis, unserved, shards }: Seen): string[] {
  return [
    ...(hasNats ? [] : ['NATS does not answer: nothing can be written']),
    ...(hasRedis ? [] : ['Redis does not answer: members stay as they were known last']),
    ...(unserved === 0 ? [] : [`no shard serves ${unserved} of the partitions yet`]),
    ...shards.flatMap(({ id, signal }) => (signal === undefined ? [] : pressedText(id, signal))),
  ];
}

/** One sentence for each cause of an overload. */
function pressedText(id: MemberId, { lanes }: ShardSignal): string[] {
  const byCause = new Map<string, Lane[]>();
  for (const lane of LANES) {
    const { level, cause } = lanes[lane];
    if (level === 'overloaded') byCause.set(cause, [...(byCause.get(cause) ?? []), lane]);
  }
  return [...byCause].map(([cause, pressed]) => {
    const where = `in the ${pressed.length === 1 ? 'lane' : 'lanes'} ${pressed.join(', ')}`;
    const waiting = pressed.reduce((sum, lane) => sum + lanes[lane].waiting, 0);
    if (cause === 'stalled')
      return `${id} is stalled ${where}: ${waiting} observations wait and none is applied`;
    if (cause === 'memory') return `${id} is overloaded ${where}: it is short of memory`;
    const lagMs = Math.max(...pressed.map((lane) => lanes[lane].lagMs));
    return `${id} is overloaded ${where}: what waits takes ${(lagMs / 1_000).toFixed(1)} s`;
  });
}
