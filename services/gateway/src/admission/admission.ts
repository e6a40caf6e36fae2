// Whether a write is taken now, before any work is done for it.
//
//   N1. Each partition and lane is judged by what the shards that serve it say: a write that would wait
//       longer than the lane allows is refused, and told when to come again.
//   N2. Who is not heard of is neither trusted nor given up: `low` is refused, the others are taken, into
//       the log, which has a limit of its own.
//   N3. Deletes are never asked about: they free what is short.
//   N4. A space that has more of a lane waiting than is fair to the others is refused before they are.

import {
  isOpen,
  jittered,
  logAway,
  pressureOf,
  refusalError,
  refusalOf,
  refusalOfSpace,
  RETRY_AWAY_MS,
  type Refusal,
  type ShardSignal,
} from '@engram/admission';
import {
  LANES,
  partitionOf,
  type Lane,
  type MemberId,
  type PartitionId,
  type SpaceId,
} from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { OwnFill } from './own-load.ts';

export interface AdmissionOptions {
  readonly partitionCount: number;
  readonly candidates: (partition: PartitionId) => {
    readonly ready: readonly MemberId[];
    readonly catchingUp: readonly MemberId[];
  };
  readonly signalOf: (shard: MemberId) => ShardSignal | undefined;
  readonly isLogConnected: () => boolean;
  readonly ownFill: () => OwnFill;
  /** So long writes are taken though no shard is in the cluster. */
  readonly unservedGraceMs: number;
  readonly onRefused: (refusal: Refusal) => void;
  readonly clock: Clock;
  readonly random: () => number;
}

/** What is under way in a gateway is soon done. */
const RETRY_OWN_MS = 250;
const ABOVE_LOW = LANES.filter((lane) => lane !== 'low');

export class Admission {
  readonly #options: AdmissionOptions;
  #shardlessSinceMs: number | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** To be told whether any shard is in the cluster. */
  noteShards(count: number): void {
    this.#shardlessSinceMs = count > 0 ? undefined : (this.#shardlessSinceMs ?? this.#now);
  }

  /**
   * Asked for puts.
   * @param told the lane that a refusal names; default the one that is closed
   * @throws ClusterError BACKPRESSURE, MEMORY_LIMIT, PARTITION_UNAVAILABLE, LOG_UNAVAILABLE, whose
   *   details are a `Refusal`
   */
  admit(space: SpaceId, lanes: Iterable<Lane>, told?: Lane): void {
    const partition = partitionOf(space, this.#options.partitionCount);
    for (const lane of lanes) {
      const found = this.#ofGateway(lane) ?? this.#ofPartition(space, partition, lane);
      if (found === undefined) continue;
      const refusal = found.lane && told ? { ...found, lane: told } : found;
      this.#options.onRefused(refusal);
      throw refusalError(refusal);
    }
  }

  get #now(): number {
    return this.#options.clock.now();
  }

  #ofGateway(lane: Lane): Refusal | undefined {
    const { isLogConnected, ownFill, random } = this.#options;
    if (!isLogConnected()) return logAway('the log cannot be reached', random);
    const { fill, cause } = ownFill();
    if (lane === 'high' ? fill < 1 : isOpen(lane, pressureOf(fill))) return undefined;
    return {
      code: 'BACKPRESSURE',
      scope: 'gateway',
      cause,
      lane,
      detail: `this gateway has ${Math.round(fill * 100)} % of the ${cause} under way that it may have`,
      hint: 'send more slowly, or to another gateway',
      retryAfterMs: jittered(RETRY_OWN_MS, random),
      waitHelps: true,
    };
  }

  #ofPartition(space: SpaceId, partition: PartitionId, lane: Lane): Refusal | undefined {
    const { candidates, signalOf, random } = this.#options;
    const { ready, catchingUp } = candidates(partition);
    const heard = ready.flatMap((shard) => signalOf(shard) ?? []);
    const fillOf = ({ lanes }: ShardSignal) => lanes[lane].fill;
    const [worst] = heard
      .filter(({ lanes }) => !isOpen(lane, lanes[lane].level))
      .sort((left, right) => fillOf(right) - fillOf(left));
    if (worst !== undefined) return refusalOf(lane, worst.lanes, worst.member, random); // N1
    for (const { lanes } of heard) {
      const share = lanes[lane].spaces.get(space);
      if (share !== undefined && !isOpen(lane, share.level))
        return refusalOfSpace(space, lane, share, lanes[lane], random); // N4
    }
    if (heard.length > 0) return undefined;
    if (ready.length + catchingUp.length === 0) return this.#ofNobody(lane);
    if (lane !== 'low') return undefined; // N2
    const [cause, detail] =
      ready.length === 0
        ? (['unserved', 'the shard of the space still reads its log'] as const)
        : (['signals', 'no shard that serves the space is heard of'] as const);
    return this.#unavailable(lane, 'partition', cause, detail, ABOVE_LOW);
  }

  /** The log takes it; but for how long nobody will apply it, nobody knows. */
  #ofNobody(lane: Lane): Refusal | undefined {
    const sinceMs = this.#now - (this.#shardlessSinceMs ?? this.#now);
    const isOver = sinceMs >= this.#options.unservedGraceMs;
    if (lane !== 'low' && !isOver) return undefined;
    const detail = `no shard has been in the cluster for ${Math.round(sinceMs / 1_000)} s: nobody would apply it`;
    return this.#unavailable(lane, 'cluster', 'unserved', detail, isOver ? [] : ABOVE_LOW);
  }

  #unavailable(
    lane: Lane,
    scope: Refusal['scope'],
    cause: Refusal['cause'],
    detail: string,
    lanesOpen: readonly Lane[],
  ): Refusal {
    return {
      code: 'PARTITION_UNAVAILABLE',
      scope,
      cause,
      lane,
      detail,
      lanesOpen,
      retryAfterMs: jittered(RETRY_AWAY_MS, this.#options.random),
      waitHelps: true,
    };
  }
}
