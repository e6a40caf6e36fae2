// What one space, and one caller, may ask for: so many observations and reads a second of all gateways
// together, and so many requests at one time of this one. Who stays below that is not slowed by who does not.

import {
  batchOf,
  jittered,
  once,
  refusalError,
  SharedBuckets,
  type Rate,
  type Refusal,
} from '@engram/admission';
import type { BucketStore } from '@engram/membership';
import { Repeater, type Clock, type Logger } from '@engram/runtime';

/** 0 where there is no limit. */
export interface Limit {
  /** Observations written a second. */
  readonly observationsPerS: number;
  /** Recalls, and observations read back, a second. */
  readonly readsPerS: number;
  /** Requests under way at one time, of each gateway. */
  readonly requestsMax: number;
}

/** Who is limited. */
export type Scope = 'space' | 'caller';

export type Work = 'write' | 'read';

/** Whom a request is counted for; a caller without a name is counted for its spaces alone. */
export interface Asker {
  readonly spaces: readonly string[];
  readonly caller: string | undefined;
}

export interface LimitsOptions {
  readonly limitOf: (scope: Scope, name: string) => Limit;
  readonly store: Pick<BucketStore, 'spend'>;
  /** Gateways in the cluster, this one included. */
  readonly gateways: () => number;
  readonly onRefused: (refusal: Refusal) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Between two tellings of what was taken: what several gateways may overdraw is the rate of so long. */
const TELL_MS = 100;
/** So long without an answer of Redis each gateway gives a part of the rates. */
const DEAF_MS = 1_000;
/** A rate lets in at once what it gives in so long. */
const BURST_S = 1;
/** Until one of the requests that are under way is done. */
const RETRY_BUSY_MS = 250;

const UNITS = { write: 'observations', read: 'reads' } as const satisfies Record<Work, string>;

const HINTS = {
  write: 'send more slowly; deletes are always taken',
  read: 'ask more slowly',
} as const satisfies Record<Work, string>;

export class Limits implements AsyncDisposable {
  readonly #options: LimitsOptions;
  readonly #buckets = new SharedBuckets();
  readonly #underWay = new Map<string, number>();
  readonly #telling: Repeater;
  #heardAtMs: number;

  constructor(options: LimitsOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#heardAtMs = clock.now();
    this.#telling = new Repeater({
      clock,
      intervalMs: TELL_MS,
      run: () => this.#tell(),
      onError: (error) => {
        logger.debug({ err: error }, 'limits are not shared');
        if (clock.now() - this.#heardAtMs > DEAF_MS) this.#buckets.share(options.gateways());
      },
    });
  }

  /**
   * Lets a request in, and counts a read. Returns what to call when it is answered.
   * @throws ClusterError RATE_LIMITED, whose details are a `Refusal`
   */
  enter(asker: Asker, work: Work): () => void {
    const names = namesOf(asker);
    for (const [scope, name] of names) this.#check(scope, name, work);
    if (work === 'read') this.take(asker, work, 1);
    const keys = names.map(([scope, name]) => `${scope}:${name}`);
    for (const key of keys) this.#underWay.set(key, (this.#underWay.get(key) ?? 0) + 1);
    return once(() => {
      for (const key of keys) this.#leave(key);
    });
  }

  /**
   * Counts what a request turned out to have. Others that came in with it may have taken all there was.
   * @throws ClusterError RATE_LIMITED
   */
  spend(asker: Asker, work: Work, count: number): void {
    for (const [scope, name] of namesOf(asker)) this.#checkRate(scope, name, work);
    this.take(asker, work, count);
  }

  /** Counts what was let in. */
  take(asker: Asker, work: Work, count: number): void {
    const nowMs = this.#options.clock.now();
    for (const [scope, name] of namesOf(asker)) {
      const rate = rateOf(this.#options.limitOf(scope, name), work);
      if (rate !== undefined) this.#buckets.take(bucketOf(scope, name, work), rate, count, nowMs);
    }
  }

  close(): Promise<void> {
    return this.#telling.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(scope: Scope, name: string, work: Work): void {
    const { limitOf, random } = this.#options;
    const { requestsMax } = limitOf(scope, name);
    if (requestsMax > 0 && (this.#underWay.get(`${scope}:${name}`) ?? 0) >= requestsMax)
      this.#refuse({
        scope,
        name,
        cause: 'concurrency',
        detail: `${whose(scope, name)} has ${requestsMax} requests under way, as many as it may at one time`,
        hint: 'wait for answers before the next request',
        retryAfterMs: jittered(RETRY_BUSY_MS, random),
      });
    this.#checkRate(scope, name, work);
  }

  #checkRate(scope: Scope, name: string, work: Work): void {
    const { limitOf, clock, random } = this.#options;
    const rate = rateOf(limitOf(scope, name), work);
    if (rate === undefined) return;
    const waitMs = this.#buckets.waitMs(bucketOf(scope, name, work), rate, clock.now());
    if (waitMs === 0) return;
    this.#refuse({
      scope,
      name,
      cause: 'rate',
      detail: `${whose(scope, name)} may have ${rate.perSecond} ${UNITS[work]} a second, and had them`,
      hint: HINTS[work],
      retryAfterMs: jittered(waitMs, random),
      ...(work === 'read' ? {} : { batchMax: batchOf(rate.burst) }),
    });
  }

  #refuse(why: Omit<Refusal, 'code' | 'waitHelps'>): never {
    const refusal: Refusal = { code: 'RATE_LIMITED', waitHelps: true, ...why };
    this.#options.onRefused(refusal);
    throw refusalError(refusal);
  }

  #leave(key: string): void {
    const left = (this.#underWay.get(key) ?? 1) - 1;
    if (left === 0) this.#underWay.delete(key);
    else this.#underWay.set(key, left);
  }

  async #tell(): Promise<void> {
    const { store, clock } = this.#options;
    const told = this.#buckets.tell(clock.now());
    if (told.length === 0) return;
    this.#buckets.hear(told, await store.spend(told), clock.now());
    this.#heardAtMs = clock.now();
    this.#buckets.share(1);
  }
}

function namesOf({ spaces, caller }: Asker): (readonly [Scope, string])[] {
  const names = spaces.map((space) => ['space', space] as const);
  return caller === undefined ? names : [...names, ['caller', caller]];
}

function whose(scope: Scope, name: string): string {
  return scope === 'space' ? `the space ${name}` : 'the caller';
}

function bucketOf(scope: Scope, name: string, work: Work): string {
  return `${scope}:${work}:${name}`;
}

function rateOf({ observationsPerS, readsPerS }: Limit, work: Work): Rate | undefined {
  const perSecond = work === 'write' ? observationsPerS : readsPerS;
  return perSecond === 0 ? undefined : { perSecond, burst: perSecond * BURST_S };
}
