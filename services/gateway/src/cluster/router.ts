// Finds the shard to ask about a space, and asks the next best one when it does not answer.

import type { ShardMethod } from '@engram/codec';
import { request, tell, type LogConnection } from '@engram/log';
import type { Membership } from '@engram/membership';
import {
  ClusterError,
  partitionOf,
  type MemberId,
  type PartitionId,
  type SpaceConfig,
} from '@engram/model';
import { candidates } from '@engram/partition';
import { Placement, type Assignment } from '@engram/ring';
import { Deadline, type Clock } from '@engram/runtime';

export interface RouterOptions {
  readonly connection: LogConnection;
  readonly membership: Membership;
  readonly partitionCount: number;
  readonly clock: Clock;
}

export interface Answered<T> {
  readonly shard: MemberId;
  readonly reply: T;
}

export class Router {
  readonly partitionCount: number;
  readonly #options: RouterOptions;
  readonly #placement: Placement;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.partitionCount = options.partitionCount;
    this.#placement = new Placement(options.partitionCount);
  }

  /** Who owns what in the present view. */
  get assignment(): Assignment {
    return this.#placement.of(this.#options.membership.view);
  }

  candidates(partition: PartitionId): ReturnType<typeof candidates> {
    return candidates(partition, this.assignment, this.#options.membership.view);
  }

  /**
   * Asks just this shard: it keeps something for us.
   * @throws ClusterError PARTITION_UNAVAILABLE, LOG_UNAVAILABLE, or what the shard itself says
   */
  async askMember<T>(
    shard: MemberId,
    method: ShardMethod,
    body: unknown,
    timeoutMs: number,
  ): Promise<T> {
    return (await request(this.#options.connection, shard, method, body, timeoutMs)) as T;
  }

  /** The same for what needs no answer. */
  tellMember(shard: MemberId, method: ShardMethod, body: unknown): void {
    tell(this.#options.connection, shard, method, body);
  }

  /**
   * Asks the best shard for the space that answers within the time.
   * @throws ClusterError PARTITION_UNAVAILABLE, LOG_UNAVAILABLE, or what the shard itself says
   */
  async ask<T>(
    config: SpaceConfig,
    method: ShardMethod,
    body: { readonly config: SpaceConfig },
    timeoutMs: number,
  ): Promise<Answered<T>> {
    const { connection, clock } = this.#options;
    const partition = partitionOf(config.space, this.partitionCount);
    const { ready, catchingUp } = this.candidates(partition);
    const shards = [...ready, ...catchingUp];
    const deadline = new Deadline(clock, timeoutMs);
    let failure: ClusterError | undefined;
    for (const [place, shard] of shards.entries()) {
      // Time is kept for those that come after, so that one silent shard does not use it all up.
      const attemptMs = deadline.remainingMs / (shards.length - place);
      try {
        const reply = (await request(connection, shard, method, body, attemptMs)) as T;
        return { shard, reply };
      } catch (error) {
        const known = ClusterError.from(error);
        if (known.retry !== 'after-reroute') throw error;
        failure = known;
      }
    }
    throw new ClusterError(
      'PARTITION_UNAVAILABLE',
      shards.length === 0 ? 'no shard is in the cluster' : 'no shard that holds the space answers',
      {
        cause: failure,
        hint: 'the partition is being taken over; try again in a few seconds',
        details: { partition, asked: shards },
      },
    );
  }
}
