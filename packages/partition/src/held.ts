import { perLane, type PartitionId, type PerLane } from '@engram/model';
import { stripeOf } from '@engram/log';
import { LaneProgress } from './lane-progress.ts';

type Phase =
  | { readonly kind: 'replaying' }
  /** Caught up when everything up to these places is applied. */
  | { readonly kind: 'settling'; readonly until: PerLane<number> }
  | { readonly kind: 'ready' };

/** A partition that a shard holds. */
export interface Held {
  phase: Phase;
  readonly lanes: PerLane<LaneProgress>;
}

export function newlyHeld(): Held {
  return { phase: { kind: 'replaying' }, lanes: perLane(() => new LaneProgress()) };
}

export function groupByStripe(
  partitions: readonly PartitionId[],
  stripeCount: number,
): Map<number, PartitionId[]> {
  const groups = new Map<number, PartitionId[]>();
  for (const partition of partitions) {
    const stripe = stripeOf(partition, stripeCount);
    const group = groups.get(stripe);
    if (group === undefined) groups.set(stripe, [partition]);
    else group.push(partition);
  }
  return groups;
}
