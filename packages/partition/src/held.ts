import {
  LANES,
  perLane,
  type ClusterError,
  type PartitionId,
  type PerLane,
  type Position,
} from '@engram/model';
import { stripeOf } from '@engram/log';
import { LaneProgress } from './lane-progress.ts';

type Phase =
  /** What is stored of it is being brought in. */
  | { readonly kind: 'restoring' }
  /** That is to be done, or to be done again, when it is time. */
  | { readonly kind: 'unrestored'; readonly atMs: number }
  /** Everything up to this sequence is applied; what comes after waits in the log. */
  | { readonly kind: 'restored'; readonly from: number }
  | { readonly kind: 'replaying' }
  /** Caught up when everything up to these places is applied. */
  | { readonly kind: 'settling'; readonly until: PerLane<number>; readonly upTo: number }
  /** Everything up to this sequence is applied, unless it was removed from the log too early. */
  | { readonly kind: 'caught-up'; readonly upTo: number; readonly askAtMs: number }
  | { readonly kind: 'ready' };

/** A partition that a shard holds. */
export interface Held {
  phase: Phase;
  /** Why what is stored of it could not be brought in, the last time that it was tried. */
  failure?: ClusterError;
  lanes: PerLane<LaneProgress>;
  /** Everything up to this sequence is applied; it never falls, though what is known of feeds does. */
  completeTo: number;
}

export function newlyHeld(): Held {
  return {
    phase: { kind: 'unrestored', atMs: -Infinity },
    lanes: perLane(() => new LaneProgress()),
    completeTo: 0,
  };
}

/** Its entries come from the live feeds; before, a replay must not be overtaken by them. */
export function isLive({ phase }: Held): boolean {
  return phase.kind === 'settling' || phase.kind === 'caught-up' || phase.kind === 'ready';
}

/** Its entries that are handed over and not finished. */
export function underWay({ lanes }: Held): number {
  return LANES.reduce((sum, lane) => sum + lanes[lane].inFlight, 0);
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

export function isApplied(held: Held | undefined, { sequences }: Position): boolean {
  return held !== undefined && LANES.every((lane) => held.lanes[lane].applied >= sequences[lane]);
}

/**
 * Up to where everything of the ready partitions is applied, which is kept with each.
 * @param readTo up to where each stripe was read
 */
export function completedTo(
  all: ReadonlyMap<PartitionId, Held>,
  readTo: ReadonlyMap<number, number>,
  stripeCount: number,
): Map<PartitionId, number> {
  const upTo = new Map<PartitionId, number>();
  for (const [partition, held] of all) {
    if (held.phase.kind !== 'ready') continue;
    let sequence = readTo.get(stripeOf(partition, stripeCount)) ?? 0;
    for (const lane of LANES)
      sequence = Math.min(sequence, (held.lanes[lane].firstInFlight ?? Infinity) - 1);
    held.completeTo = Math.max(held.completeTo, sequence);
    upTo.set(partition, held.completeTo);
  }
  return upTo;
}

/** Those whose replayed entries are all applied have caught up. @returns whether there are some */
export function settle(all: Iterable<Held>): boolean {
  let hasChanged = false;
  for (const held of all) {
    const { phase, lanes } = held;
    if (phase.kind !== 'settling') continue;
    if (LANES.some((lane) => lanes[lane].applied < phase.until[lane])) continue;
    held.phase = { kind: 'caught-up', upTo: phase.upTo, askAtMs: -Infinity };
    held.completeTo = Math.max(held.completeTo, phase.upTo);
    hasChanged = true;
  }
  return hasChanged;
}
