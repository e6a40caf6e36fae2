// What the main thread asks of a worker thread.

import type { BodyKind, Include, Standing, StatsReply, WireHit } from '@engram/codec';
import type { ItemError, Lane, PartitionId, PerLane, SpaceConfig, SpaceId } from '@engram/model';
import type { BuildJob, BuildResult } from '@engram/space-engine';
import type { WrittenSection } from '@engram/storage';
import type { MemoryState } from './memory-guard.ts';
import type { ThreadMemory } from './memory-usage.ts';

/** One entry of the log, on its way to the index. */
export interface EntryTask {
  readonly config: SpaceConfig;
  readonly partition: PartitionId;
  readonly lane: Lane;
  readonly sequence: number;
  readonly kind: BodyKind;
  /** Over shared memory: both threads have it, so it outlives a worker that dies on it. */
  readonly bytes: Uint8Array;
  /** How often the partition had been dropped when the entry came. */
  readonly drops: number;
}

export interface EntryAnswer {
  readonly applied: number;
  readonly stale: number;
  readonly errors: readonly ItemError[];
  /** Memory is at its limit: the embeddings were left out, and the entry must come again. */
  readonly isRefused?: true;
}

export interface RecallTask {
  readonly config: SpaceConfig;
  readonly embedding: Uint8Array;
  readonly k: number;
  readonly ef?: number;
  readonly exact?: boolean;
  readonly filter?: unknown;
  readonly asOf?: PerLane<number>;
  readonly include: readonly Include[];
}

export type WorkerRequest =
  | { readonly verb: 'batch'; readonly tasks: readonly EntryTask[] }
  | (RecallTask & { readonly verb: 'recall' })
  /** The first page, and those after it. */
  | (RecallTask & { readonly verb: 'recall-open' })
  /** The same of a listing of all ids, as of a sequence. */
  | { readonly verb: 'ids-open'; readonly config: SpaceConfig; readonly asOf: number }
  | { readonly verb: 'recall-next'; readonly space: SpaceId; readonly cursor: number }
  | { readonly verb: 'recall-keep'; readonly space: SpaceId; readonly cursor: number }
  | { readonly verb: 'recall-close'; readonly space: SpaceId; readonly cursor: number }
  | { readonly verb: 'get'; readonly config: SpaceConfig; readonly id: string }
  | { readonly verb: 'stats'; readonly config: SpaceConfig }
  /** Answers when everything applied before is in a graph. */
  | { readonly verb: 'indexed'; readonly config: SpaceConfig }
  | { readonly verb: 'tick'; readonly nowMs: number; readonly memory: MemoryState }
  /** Rows that wait for a graph, to be asked often. */
  | { readonly verb: 'state' }
  /** Nothing at or below these sequences comes any more. */
  | { readonly verb: 'complete'; readonly upTo: ReadonlyMap<PartitionId, number> }
  | { readonly verb: 'drop-space'; readonly space: SpaceId }
  | { readonly verb: 'drop-partitions'; readonly partitions: readonly PartitionId[] }
  /** To a new thread: how often partitions were dropped before it began. */
  | { readonly verb: 'drops'; readonly counts: ReadonlyMap<PartitionId, number> }
  /** Any space of these partitions may lack something; to a new thread, those the one before had. */
  | { readonly verb: 'lost'; readonly partitions: readonly PartitionId[] }
  /** A segment whose graph another thread can build, or segments that it can merge. */
  | { readonly verb: 'give-work'; readonly rowsMin: number }
  | { readonly verb: 'give-merge' }
  | { readonly verb: 'build'; readonly job: BuildJob }
  | { readonly verb: 'finish'; readonly result: BuildResult }
  /** @param isDamaged one of its inputs was: the space begins anew */
  | {
      readonly verb: 'abandon';
      readonly space: SpaceId;
      readonly id: number;
      readonly isDamaged: boolean;
    }
  /** Entries of these partitions come again from the first; what was told complete before is not. */
  | { readonly verb: 'trust'; readonly partitions: readonly PartitionId[] }
  /** Everything up to a sequence was applied; @param prefix of the names of new blobs */
  | {
      readonly verb: 'checkpoint';
      readonly partition: PartitionId;
      readonly upTo: number;
      readonly prefix: string;
    }
  | { readonly verb: 'restore'; readonly task: RestoreTask }
  /** What is lost of the partition comes from the log. */
  | { readonly verb: 'restored'; readonly partition: PartitionId }
  | { readonly verb: 'unload' };

export interface CheckpointAnswer {
  readonly sections: readonly WrittenSection[];
  /** A section differs from what it was at the last call. */
  readonly isChanged: boolean;
}

export interface RestoreTask {
  readonly partition: PartitionId;
  /** Everything up to this sequence is in the checkpoint, and does not come again. */
  readonly upTo: number;
  /** Path of the checkpoint file; what it names is in the cache … */
  readonly checkpoint: string;
  /** … without these blobs. */
  readonly lost: readonly string[];
  readonly spaces: readonly {
    readonly config: SpaceConfig;
    readonly at: number;
    readonly bytes: number;
  }[];
}

export interface RestoreAnswer {
  /** Spaces that could not be brought in as they were. */
  readonly damaged: readonly { readonly space: SpaceId; readonly reason: string }[];
}

export type RecallAnswer = readonly WireHit[];

/** A page of a streamed recall; without a cursor it is the last one. */
export interface PageAnswer {
  readonly hits: RecallAnswer;
  readonly cursor?: number;
}

export type StatsAnswer = Omit<StatsReply, keyof Standing>;
export type GiveAnswer = BuildJob | undefined;

/** Told by a worker unasked: files of a space were damaged, and its entries must come again. */
export interface WorkerNews {
  readonly damaged: SpaceId;
  readonly partition: PartitionId;
}

export interface TickAnswer extends ThreadMemory {
  /** Spaces in memory, and those in files only. */
  readonly loaded: number;
  readonly unloaded: number;
  readonly observations: number;
  /** Rows that wait for a graph and are not given away. */
  readonly backlog: number;
  /** Private memory of the spaces, as they count it. */
  readonly bytes: number;
  /** What native graphs have, also those that are built for another thread. */
  readonly graphBytes: number;
  readonly mappedBytes: number;
  readonly segments: number;
  /** What went wrong with files since the last tick. */
  readonly faults: readonly string[];
}

/** What a worker thread is started with. */
export interface WorkerSettings {
  /** Folder of the spaces' files. */
  readonly folder: string;
  /** Sections of checkpoints, each under its space's name. */
  readonly sectionsFolder: string;
  /** Files by the names of their blobs; it outlives the process. */
  readonly cacheFolder: string;
  /** How often this thread was started before: its files have numbers of their own. */
  readonly incarnation: number;
  readonly graphThreshold: number;
  readonly segmentBytesMax: number;
  readonly mergedBytesMax: number;
  readonly snapshotKeepMs: number;
  readonly idleUnloadMs: number;
}
