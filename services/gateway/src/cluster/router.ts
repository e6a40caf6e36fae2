// Finds the shards to ask about a space, and asks another one when the best does not answer.

import type { ShardMethod, Standing } from '@engram/codec';
import { request, tell, type LogConnection } from '@engram/log';
import type { Membership } from '@engram/membership';
import {
  ClusterError,
  partitionOf,
  type ErrorCode,
  type MemberId,
  type PartitionId,
  type SpaceConfig,
} from '@engram/model';
import { candidates } from '@engram/partition';
import { Placement, type Assignment } from '@engram/ring';
import { Deadline, type Clock } from '@engram/runtime';
import { traced, type Span, type Tracing } from '@engram/tracing';
import { firstGood, type Answered, type Outcome } from './first-good.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { Ranking } from './ranking.ts';

export interface RouterOptions {
  readonly connection: LogConnection;
  readonly membership: Membership;
  readonly partitionCount: number;
  /** Silence after which another ready shard is asked too; 0: never. */
  readonly hedgeMs: number;
  readonly onHedge: (result: 'sent' | 'won') => void;
  readonly tracing: Tracing;
  readonly clock: Clock;
}

export interface Question<T> {
  readonly method: Extract<ShardMethod, 'recall' | 'get' | 'stats' | 'ids'>;
  readonly body: { readonly config: SpaceConfig };
  /** For the answer, when nothing is waited for. */
  readonly timeoutMs: number;
  /** A shard may wait so long for a position before it answers; 0: it does not wait. */
  readonly waitMs: number;
  /** It takes as long as a space is large: its time is no silence, and tells nothing of the shard. */
  readonly isLong?: boolean;
  /** Of the request that asks. */
  readonly span?: Span | undefined;
  /** What a shard keeps for an answer that is not used is given back here. It is then not hedged. */
  readonly onUnused?: (unused: Answered<T>) => void;
}

interface Attempt {
  readonly timeoutMs: number;
  /** The shard may wait before it answers: its latency then tells nothing. */
  readonly isWaiting: boolean;
  readonly span: Span | undefined;
}

/** What one shard says of itself: another one may have more. */
const OF_ONE_SHARD: ReadonlySet<ErrorCode> = new Set([
  'POSITION_NOT_REACHED',
  'POSITION_EXPIRED',
  'MEMORY_LIMIT',
  'INTERNAL',
]);
/** About all partitions of a shard; what else it says is about the one in question. */
const OF_ALL_PARTITIONS: ReadonlySet<ErrorCode> = new Set([
  'PARTITION_UNAVAILABLE',
  'SHUTTING_DOWN',
  'MEMORY_LIMIT',
]);

export class Router {
  readonly partitionCount: number;
  readonly #options: RouterOptions;
  readonly #placement: Placement;
  readonly #ranking = new Ranking(Math.random);
  readonly #budget = new HedgeBudget();

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

  /** Every shard that a recall of the partition may be answered by. */
  serving(partition: PartitionId): readonly MemberId[] {
    const { ready, catchingUp } = this.candidates(partition);
    return ready.length > 0 ? ready : catchingUp;
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
    span?: Span,
  ): Promise<T> {
    const { connection, tracing } = this.#options;
    const asked = tracing.continue(`ask ${method}`, span?.traceparent, {
      kind: 'client',
      attributes: { 'engram.shard': shard },
    });
    return traced(
      asked,
      () => request(connection, shard, method, body, timeoutMs, asked?.traceparent) as Promise<T>,
    );
  }

  /** The same for what needs no answer. */
  tellMember(shard: MemberId, method: ShardMethod, body: unknown): void {
    tell(this.#options.connection, shard, method, body);
  }

  /**
   * Asks the best shard for the space that answers within the time, and the next one where that has no
   * answer, is silent, or is not ready.
   * @throws ClusterError PARTITION_UNAVAILABLE, LOG_UNAVAILABLE, or what the shards themselves say
   */
  async ask<T extends Standing>(
    config: SpaceConfig,
    { method, body, timeoutMs, waitMs, isLong = false, span, onUnused }: Question<T>,
  ): Promise<Answered<T>> {
    const { clock, hedgeMs, onHedge } = this.#options;
    const partition = partitionOf(config.space, this.partitionCount);
    const { shards, readyCount } = this.#ranked(partition);
    const waiting = new Deadline(clock, waitMs);
    const deadline = new Deadline(clock, timeoutMs + waitMs);
    const startedAt = clock.now();
    this.#budget.earn();
    const won = await firstGood<T>({
      shards,
      readyCount,
      // Waiting for a position is no silence.
      hedgeAfterMs:
        hedgeMs === 0 || onUnused !== undefined || isLong ? undefined : hedgeMs + waitMs,
      clock,
      mayHedge: () => {
        const may = this.#budget.take();
        if (may) onHedge('sent');
        return may;
      },
      ask: (shard, place) => {
        const leftMs = waiting.remainingMs;
        // Time is kept for those that come after, so that one silent shard does not use it all up.
        const attemptMs = leftMs + (deadline.remainingMs - leftMs) / (shards.length - place);
        const asked = waitMs === 0 ? body : { ...body, waitMs: Math.ceil(leftMs) };
        return this.#attempt<T>(shard, partition, method, asked, {
          timeoutMs: attemptMs,
          isWaiting: waitMs > 0 || isLong,
          span,
        });
      },
      onUnused: (shard, reply) => onUnused?.({ shard, reply }),
    });
    if (!Array.isArray(won)) {
      if (won.isHedge) onHedge('won');
      const now = clock.now();
      if (waitMs === 0)
        for (const shard of won.overtaken) this.#ranking.slow(shard, now - startedAt, now);
      return won;
    }
    const told = won.find(({ code }) => OF_ONE_SHARD.has(code)) ?? won.find(isOfPartition);
    if (told !== undefined) throw told;
    throw new ClusterError(
      'PARTITION_UNAVAILABLE',
      shards.length === 0 ? 'no shard is in the cluster' : 'no shard that holds the space answers',
      {
        cause: won.at(-1),
        hint:
          shards.length === 0
            ? 'start a shard, or look why none is heard of: engram status and engram doctor tell'
            : 'the partition is being taken over; try again in a few seconds',
        details: { partition, asked: shards },
      },
    );
  }

  /** Owners that are ready, then the old owners of a move, then owners that still read the log. */
  #ranked(partition: PartitionId) {
    const { view } = this.#options.membership;
    if (this.#ranking.size > view.members.size)
      this.#ranking.keepOnly((id) => view.members.has(id));
    const { ready, catchingUp } = this.candidates(partition);
    const owners = this.assignment.owners(partition);
    const now = this.#options.clock.now();
    const order = (ids: readonly MemberId[]) => this.#ranking.order(partition, ids, now);
    const shards = [
      ...order(ready.filter((id) => owners.includes(id))),
      ...order(ready.filter((id) => !owners.includes(id))),
      ...order(catchingUp),
    ];
    return { shards, readyCount: ready.length };
  }

  async #attempt<T extends Standing>(
    shard: MemberId,
    partition: PartitionId,
    method: ShardMethod,
    body: unknown,
    { timeoutMs, isWaiting, span }: Attempt,
  ): Promise<Outcome<T>> {
    const { clock } = this.#options;
    const startedAt = clock.now();
    try {
      const reply = await this.askMember<T>(shard, method, body, timeoutMs, span);
      const now = clock.now();
      const latencyMs = isWaiting ? undefined : now - startedAt;
      // Shards of before there were copies do not tell it.
      const lag = (reply as Partial<Standing>).lag ?? 0;
      this.#ranking.answered(shard, partition, { latencyMs, lag }, now);
      if (reply.isReady) return { kind: 'good', reply };
      this.#ranking.failedFor(shard, partition, now);
      return { kind: 'poor', reply };
    } catch (cause) {
      const error = ClusterError.from(cause);
      const isTold = OF_ONE_SHARD.has(error.code);
      if (!isTold && error.retry !== 'after-reroute') return { kind: 'refused', error };
      const now = clock.now();
      if (OF_ALL_PARTITIONS.has(error.code) && !isOfPartition(error))
        this.#ranking.failed(shard, now);
      else this.#ranking.failedFor(shard, partition, now);
      return { kind: 'failed', error, isTold };
    }
  }
}

/** A shard says why it cannot serve this one. */
function isOfPartition({ code, details }: ClusterError): boolean {
  return code === 'PARTITION_UNAVAILABLE' && details.partition !== undefined;
}
