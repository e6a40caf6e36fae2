// Why a cluster is degraded, as sentences for people.

import { lagText, type ShardSignal } from '@engram/admission';
import type { StorageFault } from '@engram/codec';
import { LANES, type Lane, type MemberId } from '@engram/model';

interface SeenShard {
  readonly id: MemberId;
  readonly signal: ShardSignal | undefined;
  readonly storageFault?: StorageFault | undefined;
}

/** What a gateway knows of its cluster. */
export interface Seen {
  readonly hasNats: boolean;
  readonly hasRedis: boolean;
  /** Of what the log may hold, from 0 to 1; undefined where nobody tells. */
  readonly logFill?: number | undefined;
  /** Partitions that no shard answers for. */
  readonly unserved: number;
  readonly shards: readonly SeenShard[];
}

/** The largest batch does not fit any more, and soon none does. */
const LOG_FULL = 0.98;

/** Nothing where all is well. */
export function reasonsOf({ hasNats, hasRedis, logFill = 0, unserved, shards }: Seen): string[] {
  return [
    ...(hasNats ? [] : ['NATS does not answer: nothing can be written']),
    ...(hasRedis ? [] : ['Redis does not answer: members stay as they were known last']),
    ...(logFill < LOG_FULL ? [] : ['the log is full: nothing but deletes can be written']),
    ...(unserved === 0 ? [] : [`no shard serves ${unserved} of the partitions yet`]),
    ...shards.flatMap(({ id, signal }) => (signal === undefined ? [] : pressedText(id, signal))),
    ...shards.flatMap(({ id, storageFault: fault }) =>
      fault === undefined
        ? []
        : [`${id} cannot store what it has: ${fault.message}; the log keeps it until then`],
    ),
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
    return `${id} is overloaded ${where}: what waits takes ${lagText(lagMs)}`;
  });
}
