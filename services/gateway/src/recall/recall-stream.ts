// A recall whose results are read as its client takes them: pages of several spaces are merged, and the
// next page of a space is asked for when all of the one before was given.

import type { CursorRequest, NextReply, NextRequest } from '@engram/codec';
import type { MemberId, SpaceConfig, SpaceId } from '@engram/model';
import type { Clock } from '@engram/runtime';
import type { Answered } from '../cluster/first-good.ts';
import type { Router } from '../cluster/router.ts';
import { toResult, type RecallResult } from './results.ts';

/** Well before a shard gives a cursor up, 30 s after it was asked last. */
const KEEP_MS = 10_000;

/** The pages of one space, of the shard that answered the first one. */
export class SpacePages {
  readonly #router: Router;
  readonly #config: SpaceConfig;
  readonly #timeoutMs: number;
  readonly #shard: MemberId;
  #page: NextReply;
  #isClosed = false;

  constructor(
    router: Router,
    config: SpaceConfig,
    timeoutMs: number,
    { shard, reply }: Answered<NextReply>,
  ) {
    this.#router = router;
    this.#config = config;
    this.#timeoutMs = timeoutMs;
    this.#shard = shard;
    this.#page = reply;
  }

  get space(): SpaceId {
    return this.#config.space;
  }

  /** @throws ClusterError CURSOR_EXPIRED, PARTITION_UNAVAILABLE */
  async *results(): AsyncGenerator<RecallResult, undefined> {
    for (;;) {
      const { hits, cursor } = this.#page;
      for (const hit of hits) yield toResult(this.space, hit);
      if (cursor === undefined || this.#isClosed) return undefined;
      const body: NextRequest = { config: this.#config, cursor };
      this.#page = { hits: [], cursor };
      this.#page = await this.#router.askMember(this.#shard, 'next', body, this.#timeoutMs);
      // The client went while the page was on its way, and the cursor may be a new one.
      if (this.#isClosed) this.#tell('close');
    }
  }

  /** Lets the shard forget it, unless it has done so. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#tell('close');
  }

  /** Its turn comes later: the shard must not give it up meanwhile. */
  keep(): void {
    if (!this.#isClosed) this.#tell('keep');
  }

  #tell(method: 'keep' | 'close'): void {
    const { cursor } = this.#page;
    if (cursor === undefined) return;
    const body: CursorRequest = { config: this.#config, cursor };
    this.#router.tellMember(this.#shard, method, body);
  }
}

interface RecallStreamOptions {
  readonly spaces: readonly SpacePages[];
  readonly compare: (left: RecallResult, right: RecallResult) => number;
  readonly k: number;
  readonly watermarks: Readonly<Record<string, string>>;
  readonly reasons: readonly string[];
  readonly startedAt: number;
  readonly clock: Clock;
}

/** How a stream that came to its end says so. */
export interface RecallEnd {
  readonly count: number;
  readonly watermarks: Readonly<Record<string, string>>;
  readonly degraded: boolean;
  readonly reasons: readonly string[];
  readonly tookMs: number;
}

export class RecallStream {
  readonly #options: RecallStreamOptions;

  constructor(options: RecallStreamOptions) {
    this.#options = options;
  }

  get degraded(): boolean {
    return this.#options.reasons.length > 0;
  }

  /** Results, best first, and what is to be said at their end. To be read once. */
  async *results(): AsyncGenerator<RecallResult, RecallEnd> {
    const { spaces, compare, k, watermarks, reasons, startedAt, clock } = this.#options;
    let count = 0;
    let keptAt = startedAt;
    const merged = merge(
      spaces.map((pages) => pages.results()),
      compare,
    );
    for await (const result of merged) {
      yield result;
      if (++count === k) break;
      // The client reads on. Pages of all spaces wait for that, also where those of one come first.
      if (clock.now() - keptAt < KEEP_MS) continue;
      keptAt = clock.now();
      for (const pages of spaces) pages.keep();
    }
    const tookMs = Math.round((clock.now() - startedAt) * 1000) / 1000;
    return { count, watermarks, degraded: this.degraded, reasons, tookMs };
  }

  /** Ends what the shards keep for it; also to be called at its end. */
  close(): void {
    for (const pages of this.#options.spaces) pages.close();
  }
}

/** Merges sorted sources into one; of those that are alike the first goes first. */
async function* merge<T>(
  sources: readonly AsyncIterator<T, undefined>[],
  compare: (left: T, right: T) => number,
): AsyncGenerator<T, undefined> {
  const firsts = await Promise.all(sources.map((source) => source.next()));
  const heads: { value: T; readonly source: AsyncIterator<T, undefined> }[] = [];
  for (const [index, { value, done }] of firsts.entries())
    if (done !== true) heads.push({ value, source: sources[index]! });
  while (heads.length > 0) {
    let best = 0;
    for (let i = 1; i < heads.length; i++)
      if (compare(heads[i]!.value, heads[best]!.value) < 0) best = i;
    const head = heads[best]!;
    yield head.value;
    const { value, done } = await head.source.next();
    if (done === true) heads.splice(best, 1);
    else head.value = value;
  }
  return undefined;
}
