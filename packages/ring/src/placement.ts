import type { MemberId } from '@engram/model';
import { assign, type Assignment } from './assignment.ts';

/** What the owners are computed from; a view of the cluster is one. */
export interface Placed {
  readonly shards: readonly MemberId[];
  readonly replication: number;
}

/** The assignment of the present view, computed once: views change far more often than their shards. */
export class Placement {
  readonly partitionCount: number;
  #last: { readonly key: string; readonly assignment: Assignment } | undefined;

  constructor(partitionCount: number) {
    this.partitionCount = partitionCount;
  }

  of({ shards, replication }: Placed): Assignment {
    const key = `${replication} ${shards.join(' ')}`;
    if (this.#last?.key !== key)
      this.#last = { key, assignment: assign(shards, this.partitionCount, replication) };
    return this.#last.assignment;
  }
}
