// What the main thread asks of a worker thread.

import type { BodyKind, GetReply, Include, StatsReply, WireHit } from '@engram/codec';
import type { ItemError, Lane, PartitionId, SpaceConfig, SpaceId } from '@engram/model';

export type WorkerRequest =
  | {
      readonly verb: 'apply';
      readonly config: SpaceConfig;
      readonly partition: PartitionId;
      readonly lane: Lane;
      readonly sequence: number;
      readonly kind: BodyKind;
      /** Transferred. */
      readonly bytes: Uint8Array<ArrayBuffer>;
    }
  | {
      readonly verb: 'recall';
      readonly config: SpaceConfig;
      readonly embedding: Uint8Array;
      readonly k: number;
      readonly ef?: number;
      readonly filter?: unknown;
      readonly include: readonly Include[];
    }
  | { readonly verb: 'get'; readonly config: SpaceConfig; readonly id: string }
  | { readonly verb: 'stats'; readonly config: SpaceConfig }
  /** Answers when everything applied before is in the graph. */
  | { readonly verb: 'indexed'; readonly config: SpaceConfig }
  | { readonly verb: 'totals' }
  /** Nothing at or below these sequences comes any more. */
  | { readonly verb: 'prune'; readonly upTo: ReadonlyMap<PartitionId, number> }
  | { readonly verb: 'drop-space'; readonly space: SpaceId }
  | { readonly verb: 'drop-partitions'; readonly partitions: readonly PartitionId[] };

export interface ApplyAnswer {
  readonly applied: number;
  readonly stale: number;
  readonly errors: readonly ItemError[];
  /** The message again, when some of it was refused: for the dead letters. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

export type RecallAnswer = readonly WireHit[];
export type GetAnswer = GetReply['found'];
export type StatsAnswer = Pick<StatsReply, 'count' | 'indexed' | 'tombstones' | 'bytes'>;
export interface TotalsAnswer {
  readonly spaces: number;
  readonly observations: number;
}
