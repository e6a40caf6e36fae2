// Which of the shards that could answer to ask first, by how they answered lately. It has no clock, asks
// nobody and is told everything.
//
//   K1. Who failed or was silent a moment ago comes after all others, until that is PUSH_BACK_MS ago.
//   K2. Those that are about as good as the best come in a random order, so that no gateway asks always
//       the first one.
//   K3. What was seen long ago counts no more: its shard is as good as the best, and so is tried again.

import type { MemberId, PartitionId } from '@engram/model';

/** About as long as a lease: who is silent for longer is out of the view anyway. */
export const PUSH_BACK_MS = 3_000;
export const REMEMBER_MS = 10_000;
/** Of a new latency in the mean: some ten answers tell. */
const ALPHA = 0.2;
/** What an entry that waits counts as: about the time that a shard takes to apply one. */
const LAG_MS = 0.1;
/** Costs up to this much above the best are as good as the best: most of it is chance. */
const ALIKE_FACTOR = 1.5;
const ALIKE_MS = 5;

interface Seen {
  readonly value: number;
  readonly atMs: number;
}

interface PartitionRecord {
  readonly lag?: Seen;
  readonly failedAtMs: number;
}

interface ShardRecord {
  latencyMs?: Seen;
  failedAtMs: number;
  readonly partitions: Map<PartitionId, PartitionRecord>;
}

export class Ranking {
  readonly #random: () => number;
  readonly #records = new Map<MemberId, ShardRecord>();

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The same shards, best first. */
  order(partition: PartitionId, shards: readonly MemberId[], nowMs: number): MemberId[] {
    if (shards.length < 2) return [...shards];
    const seen = shards.map((id) => {
      const shard = this.#records.get(id);
      const own = shard?.partitions.get(partition);
      const failedAtMs = Math.max(shard?.failedAtMs ?? -Infinity, own?.failedAtMs ?? -Infinity);
      return {
        id,
        latencyMs: remembered(shard?.latencyMs, nowMs),
        lag: remembered(own?.lag, nowMs) ?? 0,
        isPushedBack: nowMs - failedAtMs < PUSH_BACK_MS,
        draw: this.#random(),
      };
    });
    const latencies = seen.flatMap(({ latencyMs }) => latencyMs ?? []);
    const fastestMs = latencies.length === 0 ? 0 : Math.min(...latencies);
    const judged = seen.map((each) => ({
      ...each,
      cost: (each.latencyMs ?? fastestMs) + each.lag * LAG_MS, // K3
    }));
    const willing = judged.filter(({ isPushedBack }) => !isPushedBack);
    const alike = Math.min(...willing.map(({ cost }) => cost)) * ALIKE_FACTOR + ALIKE_MS;
    const tier = ({ isPushedBack, cost }: (typeof judged)[number]) =>
      isPushedBack ? Infinity : cost <= alike ? 0 : cost; // K1, K2
    return judged
      .map((each) => ({ ...each, tier: tier(each) }))
      .sort((left, right) =>
        left.tier === right.tier ? left.draw - right.draw : left.tier - right.tier,
      )
      .map(({ id }) => id);
  }

  /** It answered, after so long, with so many entries of the partition still to apply. */
  answered(
    shard: MemberId,
    partition: PartitionId,
    { latencyMs, lag }: { readonly latencyMs: number | undefined; readonly lag: number },
    nowMs: number,
  ): void {
    const record = this.#of(shard);
    record.failedAtMs = -Infinity;
    record.partitions.set(partition, { lag: { value: lag, atMs: nowMs }, failedAtMs: -Infinity });
    if (latencyMs !== undefined) this.slow(shard, latencyMs, nowMs);
  }

  /** It takes at least so long. */
  slow(shard: MemberId, latencyMs: number, nowMs: number): void {
    const record = this.#of(shard);
    const before = remembered(record.latencyMs, nowMs) ?? latencyMs;
    record.latencyMs = { value: before + ALPHA * (latencyMs - before), atMs: nowMs };
  }

  /** It was silent, is gone, or has no answers for anybody now. */
  failed(shard: MemberId, nowMs: number): void {
    this.#of(shard).failedAtMs = nowMs;
  }

  /** It has no good answers about this partition now. */
  failedFor(shard: MemberId, partition: PartitionId, nowMs: number): void {
    const { partitions } = this.#of(shard);
    partitions.set(partition, { ...partitions.get(partition), failedAtMs: nowMs });
  }

  /** Forgets shards that are no more. */
  keepOnly(isThere: (shard: MemberId) => boolean): void {
    for (const id of this.#records.keys()) if (!isThere(id)) this.#records.delete(id);
  }

  get size(): number {
    return this.#records.size;
  }

  #of(shard: MemberId): ShardRecord {
    const record = this.#records.get(shard) ?? { failedAtMs: -Infinity, partitions: new Map() };
    this.#records.set(shard, record);
    return record;
  }
}

function remembered(seen: Seen | undefined, nowMs: number): number | undefined {
  return seen === undefined || nowMs - seen.atMs > REMEMBER_MS ? undefined : seen.value; // K3
}
