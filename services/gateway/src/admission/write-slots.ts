// How many writes this gateway has under way at one time. Each turn of its event loop does a part of all of
// them, so that recalls and whatever is urgent wait for as many: there are as many as keep turns short.
//
//   G1. `high` may have twice as many as `normal`, and `low` fewer: what is urgent finds a place.
//   G2. Where several spaces write, each may have as many as are free, as in a shard's lanes: one greedy
//       space leaves half to the others.

import { AdaptiveLimit, jittered, refusalError, SpaceUse, type Refusal } from '@engram/admission';
import type { Lane, PerLane } from '@engram/model';
import { Repeater, type Clock, type Logger } from '@engram/runtime';

export interface WriteSlotsOptions {
  /** How late the event loop is; asked at each look, with the time since the last one. */
  readonly loopDelayMs: (sinceMs: number) => number;
  /** How late it may be; 0: there is no limit. */
  readonly loopDelayMaxMs: number;
  readonly onRefused: (refusal: Refusal) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

const LIMIT = { least: 8, first: 64, most: 4_096 };
const LOOK_MS = 100;
const SHARE_OF_LANE: PerLane<number> = { high: 2, normal: 1, low: 0.8 }; // G1
/** However many others are under way. */
const SPACE_LEAST = 2;
/** A slot is soon free, but not for all who wait. */
const RETRY_MS = 1_000;

export class WriteSlots implements AsyncDisposable {
  readonly #options: WriteSlotsOptions;
  readonly #limit: AdaptiveLimit;
  readonly #use = new SpaceUse<string>();
  readonly #looks: Repeater;
  #most = 0;
  #hasRefused = false;

  constructor(options: WriteSlotsOptions) {
    const { clock, logger, loopDelayMaxMs } = options;
    this.#options = options;
    this.#limit = new AdaptiveLimit({ ...LIMIT, delayMaxMs: loopDelayMaxMs });
    this.#looks = new Repeater({
      clock,
      intervalMs: LOOK_MS,
      run: () => Promise.resolve(this.#look()),
      onError: (error) => logger.error({ err: error }, 'the writes under way'),
    });
  }

  get underWay(): number {
    return this.#use.underWay;
  }

  get limit(): number {
    return this.#limit.value;
  }

  /**
   * Refuses a write that would find no slot, before its body is read. It takes none: who sends headers and
   * nothing else keeps nobody out.
   * @throws ClusterError BACKPRESSURE, whose details are a `Refusal`
   */
  check(space: string, lane: Lane): void {
    if (this.#options.loopDelayMaxMs === 0) return;
    this.#judge(space, lane);
  }

  /**
   * Takes a slot, once all of the write is there; returns what to call when it is answered.
   * @throws as `check`
   */
  enter(space: string, lane: Lane): () => void {
    this.check(space, lane);
    const leave = this.#use.enter(space, 1, this.#options.clock.now());
    this.#most = Math.max(this.#most, this.underWay);
    return leave;
  }

  close(): Promise<void> {
    return this.#looks.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #judge(space: string, lane: Lane): void {
    const own = this.#use.of(space);
    const free = this.#limit.value * SHARE_OF_LANE[lane] - this.underWay;
    if (free < 1)
      this.#refuse({
        lane,
        scope: 'gateway',
        cause: 'loop',
        detail: `${this.underWay} writes are under way in this gateway, as many as it does in time`,
      });
    if (this.#use.hasOthers(space) && own >= Math.max(SPACE_LEAST, free))
      this.#refuse({
        lane,
        scope: 'space',
        name: space,
        cause: 'share',
        detail: `${own} writes of this space are under way in this gateway, which leaves too few to other spaces`,
      }); // G2
  }

  #refuse(why: Pick<Refusal, 'lane' | 'scope' | 'name' | 'cause' | 'detail'>): never {
    this.#hasRefused = true;
    const refusal: Refusal = {
      code: 'BACKPRESSURE',
      ...why,
      hint: 'send more slowly, or to another gateway; deletes are always taken',
      retryAfterMs: jittered(RETRY_MS, this.#options.random),
      waitHelps: true,
    };
    this.#options.onRefused(refusal);
    throw refusalError(refusal);
  }

  #look(): void {
    const { loopDelayMs, clock } = this.#options;
    this.#limit.note(loopDelayMs(LOOK_MS), this.#most, this.#hasRefused);
    this.#most = this.underWay;
    this.#hasRefused = false;
    this.#use.expire(clock.now());
  }
}
