// Token buckets that all gateways of a cluster draw from, without asking each other about any request.
//
//   T1. A request is judged by what is known here; nothing waits for an answer. What was taken is told now
//       and then, so several gateways may overdraw a bucket in between.
//   T2. A bucket that is overdrawn is in debt, and closed until the debt is paid: over time nobody gets more
//       than the rate.
//   T3. A request that is let in may take more than there is: any batch passes an open bucket, or a large
//       one could never come.
//   T4. While nothing is heard of the others, each gateway gives an equal part of the rate.

/** `perSecond` tokens come in each second; `burst` of them are kept for later. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface Spending {
  readonly name: string;
  readonly rate: Rate;
  /** Tokens taken since the last telling. */
  readonly spent: number;
}

interface Bucket {
  readonly rate: Rate;
  /** Tokens; negative: in debt. */
  level: number;
  atMs: number;
  untold: number;
}

export class SharedBuckets {
  readonly #buckets = new Map<string, Bucket>();
  /** Gateways that share each rate. */
  #parts = 1;

  /** How many gateways give each a part of every rate, 1 while they hear of each other. */
  share(parts: number): void {
    this.#parts = Math.max(1, parts);
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** How long until the bucket is open again, 0 where it is (T3). */
  waitMs(name: string, rate: Rate, nowMs: number): number {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) return 0;
    this.#refill(bucket, nowMs);
    return bucket.level > 0 ? 0 : Math.floor((-bucket.level / this.#rateOf(rate)) * 1_000) + 1;
  }

  take(name: string, rate: Rate, tokens: number, nowMs: number): void {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = { rate, level: rate.burst, atMs: nowMs, untold: 0 };
      this.#buckets.set(name, bucket);
    }
    this.#refill(bucket, nowMs);
    bucket.level -= tokens;
    bucket.untold += tokens;
  }

  /**
   * What is to be told now, and of which buckets to hear; `hear` takes the answer. A telling that fails is
   * not repeated: whether it arrived is not known, and what was spent during an outage must not be a debt
   * after it, when the rate of that time was given to nobody else. Buckets that are full are no news to
   * anybody and are let go.
   */
  tell(nowMs: number): Spending[] {
    const told: Spending[] = [];
    for (const [name, bucket] of this.#buckets) {
      this.#refill(bucket, nowMs);
      if (bucket.untold === 0 && bucket.level >= bucket.rate.burst) {
        this.#buckets.delete(name);
        continue;
      }
      told.push({ name, rate: bucket.rate, spent: bucket.untold });
      bucket.untold = 0;
    }
    return told;
  }

  /** What all gateways together have left, in the order of what was told. */
  hear(told: readonly Spending[], levels: readonly number[], nowMs: number): void {
    told.forEach(({ name }, index) => {
      const bucket = this.#buckets.get(name);
      const level = levels[index];
      if (bucket === undefined || level === undefined) return;
      bucket.level = Math.min(bucket.rate.burst, level - bucket.untold);
      bucket.atMs = nowMs;
    });
  }

  #rateOf({ perSecond }: Rate): number {
    return perSecond / this.#parts;
  }

  #refill(bucket: Bucket, nowMs: number): void {
    const gained = (Math.max(0, nowMs - bucket.atMs) / 1_000) * this.#rateOf(bucket.rate);
    bucket.level = Math.min(bucket.rate.burst, bucket.level + gained);
    bucket.atMs = nowMs;
  }
}
