// What the shards say of their load, for who writes past the gateways.

import {
  decodeSignal,
  HeardSignals,
  isOpen,
  refusalOf,
  refusalOfSpace,
  type Refusal,
} from '@engram/admission';
import type { Lane, MemberId, PartitionId, SpaceId } from '@engram/model';
import { assign, type Assignment } from '@engram/ring';

/** A signal counts for so long; a shard that lives says one every second. */
const TTL_MS = 4_000;

export class ShardSignals {
  readonly #partitionCount: number;
  readonly #random: () => number;
  readonly #heard = new HeardSignals(TTL_MS);

  #ring: { readonly members: string; readonly assignment: Assignment } | undefined;

  constructor(partitionCount: number, random: () => number) {
    this.#partitionCount = partitionCount;
    this.#random = random;
  }

  /** Takes what somebody said; whatever else it may be is passed over. */
  readonly take = (text: string): void => {
    const signal = decodeSignal(text);
    if (signal !== undefined) this.#heard.take(signal, performance.now());
  };

  /**
   * Why the owner of a space's partition takes nothing of it in a lane now. Who that is comes from the ring of those that
   * are heard, which may be wrong for some seconds while members change: it is advice, the log takes all.
   */
  refusal(space: SpaceId, partition: PartitionId, lane: Lane): Refusal | undefined {
    const nowMs = performance.now();
    this.#heard.expire(nowMs);
    const [owner] = this.#ringOf(this.#heard.members).owners(partition);
    const signal = owner === undefined ? undefined : this.#heard.of(owner, nowMs);
    if (owner === undefined || signal === undefined) return undefined;
    const told = signal.lanes[lane];
    if (!isOpen(lane, told.level)) return refusalOf(lane, signal.lanes, owner, this.#random);
    const share = told.spaces.get(space);
    if (share === undefined || isOpen(lane, share.level)) return undefined;
    return refusalOfSpace(space, lane, share, told, this.#random);
  }

  /** Computed anew only when members come or go. */
  #ringOf(heard: readonly MemberId[]): Assignment {
    const members = heard.toSorted().join(' ');
    if (this.#ring?.members !== members)
      this.#ring = { members, assignment: assign(heard, this.#partitionCount) };
    return this.#ring.assignment;
  }
}
