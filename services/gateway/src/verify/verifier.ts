// An exact comparison of the log with the index of a space, while writes go on.
//
//   V2. Both sides are of one position: the log up to a head, and the index as of it once it is applied.
//   V3. What differs then is looked at again before it is called different (second-look.ts).
//   V4. One verification runs at a time, and it ends when nobody waits for it.
//   V5. Where the log was trimmed, a checkpoint tells what stood there; where none can, what is not known
//       is not called different.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { IdsReply, IdsRequest, NextReply, NextRequest, WireHit } from '@engram/codec';
import {
  streamHead,
  streamState,
  stripeOf,
  type DeadLetters,
  type PartitionRecord,
  type PartitionRegister,
} from '@engram/log';
import {
  ClusterError,
  formatPosition,
  partitionOf,
  type ErrorCode,
  type MemberId,
  type SpaceConfig,
} from '@engram/model';
import { isDamage } from '@engram/storage';
import type { Router } from '../cluster/router.ts';
import { findBases, type BaseSource, type CheckpointBase } from './checkpoint-base.ts';
import { Differences, Suspects, type Difference } from './differences.ts';
import { expectedBefore, expectedIds, type Expectation, type LogSource } from './expectation.ts';
import { lookAgain, type SecondLook } from './second-look.ts';
import { EVERYTHING, isIn, type Slice } from './slice.ts';

export interface VerifierOptions extends LogSource, BaseSource {
  readonly router: Router;
  readonly deadLetters: DeadLetters;
  readonly register: PartitionRegister;
  /** Of one question to a shard. */
  readonly timeoutMs: number;
}

export interface Verified {
  readonly space: string;
  /** Up to where both sides were compared. */
  readonly position: string;
  /** What the expectation was built from; with a checkpoint, the log tells what came after it. */
  readonly basis: 'log' | 'checkpoint';
  readonly counts: { readonly log: number; readonly index: number };
  /** The first of them; `totals` counts all. */
  readonly missing: Difference[];
  readonly extra: Difference[];
  readonly stale: Difference[];
  readonly totals: Readonly<Record<'missing' | 'extra' | 'stale', number>>;
  /** Items of the entries that no shard takes. */
  readonly rejected: number;
  readonly entries: number;
  readonly shard: MemberId;
  readonly tookMs: number;
  /** Whether every id was judged; `reasons` says why not. */
  readonly isExact: boolean;
  readonly reasons: string[];
  /** Nothing differs. */
  readonly ok: boolean;
}

interface Asked {
  /** The one to ask; otherwise whichever the router chooses. */
  readonly shard: MemberId | undefined;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** The same question answered a moment later: by a newer snapshot, by another shard. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'POSITION_EXPIRED',
  'CURSOR_EXPIRED',
  'PARTITION_UNAVAILABLE',
  'NOT_OWNER',
]);
const ATTEMPTS = 4;
const ATTEMPT_PAUSE_MS = 500;
/** Between two turns of other requests; a millisecond. */
const IDS_A_LOOK = 20_000;
const DEAD_LETTERS_A_PAGE = 1_000;

/** In the place of an expected sequence once the index has shown the id; sequences begin at 1. */
const SEEN = 0;

/** What a comparison of one slice gave. */
interface Compared {
  readonly expectation: Expectation;
  readonly position: string;
  readonly shard: MemberId;
  readonly log: number;
  readonly index: number;
}

export class Verifier {
  readonly #options: VerifierOptions;
  #isRunning = false;

  constructor(options: VerifierOptions) {
    this.#options = options;
  }

  /** @throws ClusterError BACKPRESSURE while another one runs, and as a recall does */
  async verify(config: SpaceConfig, asked: Asked): Promise<Verified> {
    if (this.#isRunning)
      throw new ClusterError('BACKPRESSURE', 'another space is being verified', {
        hint: 'a gateway verifies one space at a time; try again, or ask another gateway',
      });
    this.#isRunning = true; // V4
    try {
      return await this.#verify(config, asked);
    } finally {
      this.#isRunning = false;
    }
  }

  async #verify(config: SpaceConfig, asked: Asked): Promise<Verified> {
    const { clock, timeoutMs, router } = this.#options;
    const startedAt = clock.now();
    const suspects = new Suspects();
    const left: Slice[] = [EVERYTHING];
    let last: Compared | undefined;
    const counts = { log: 0, index: 0 };
    for (let slice = left.pop(); slice !== undefined; slice = left.pop()) {
      last = await this.#retried(config, slice, suspects, asked);
      counts.log += last.log;
      counts.index += last.index;
      left.push(...last.expectation.fold.rest);
    }
    const { expectation, position, shard } = last!;
    const look: SecondLook = {
      source: this.#options,
      router,
      config,
      shard,
      compared: expectation.fold.sequences,
      waitMs: asked.waitMs,
      timeoutMs,
      skipped: new Set(),
      signal: asked.signal,
    };
    const { sure, unknown, reasons } = await this.#judge(look, suspects, expectation);
    const differences = new Differences(suspects.unseen);
    for (const each of sure) differences.add(each);
    if (!suspects.areAllSeen)
      reasons.push('too many ids differ: those beyond the first 10,000 were not looked at again');
    return {
      space: config.space,
      position,
      basis: expectation.base === undefined ? 'log' : 'checkpoint',
      counts,
      ...differences.listed,
      totals: differences.totals,
      rejected: expectation.fold.rejected,
      entries: expectation.fold.entries,
      shard,
      tookMs: Math.round(clock.now() - startedAt),
      isExact: reasons.length === 0,
      reasons: unknown === 0 ? reasons : [...reasons, `${unknown} ids are older than the log`],
      ok: differences.isEmpty,
    };
  }

  async #retried(
    config: SpaceConfig,
    slice: Slice,
    suspects: Suspects,
    asked: Asked,
  ): Promise<Compared> {
    for (let attempt = 1; ; attempt++) {
      try {
        const found = new Suspects();
        const compared = await this.#compare(config, slice, found, asked, attempt > 1);
        suspects.take(found);
        return compared;
      } catch (error) {
        asked.signal.throwIfAborted();
        if (attempt === ATTEMPTS || !PASSING.has(ClusterError.from(error).code)) throw error;
        await this.#options.clock.sleep(ATTEMPT_PAUSE_MS, asked.signal);
      }
    }
  }

  /** Compares the ids of a slice at first sight (V2). */
  async #compare(
    config: SpaceConfig,
    slice: Slice,
    suspects: Suspects,
    asked: Asked,
    isPressed: boolean,
  ): Promise<Compared> {
    const head = await streamHead(this.#options.connection, this.#stripe(config));
    const expectation = await this.#expectation(config, head, slice, asked.signal, isPressed);
    const { fold, knownTo, from } = expectation;
    const partition = partitionOf(config.space, this.#options.partitionCount);
    const position = formatPosition({ partition, sequences: fold.sequences });
    const log = fold.ids.size;
    let index = 0;
    const visit = ({ id, sequence: found }: WireHit) => {
      if (found === undefined || !isIn(fold.slice, id)) return;
      index++;
      const expected = fold.ids.get(id);
      if (expected === SEEN) suspects.twice.push({ id, found });
      else if (expected === undefined && found > knownTo && found <= from) suspects.unknown++;
      else if (expected === undefined) suspects.add({ id, found, head });
      else {
        if (expected !== found) suspects.add({ id, expected, found, head });
        fold.ids.set(id, SEEN);
      }
    };
    const request: IdsRequest = {
      config,
      minPosition: position,
      waitMs: asked.waitMs,
      asOf: head,
    };
    const shard = await this.#list(request, asked, visit);
    await this.#requireUntrimmed(config, expectation);
    let looked = 0;
    for (const [id, expected] of fold.ids) {
      if (expected !== SEEN) suspects.add({ id, expected, head });
      if (++looked % IDS_A_LOOK === 0) await nextTurn();
    }
    return { expectation, position, shard, log, index };
  }

  /** From the log, and where that was trimmed from a checkpoint (V5). */
  async #expectation(
    config: SpaceConfig,
    head: number,
    slice: Slice,
    signal: AbortSignal,
    isPressed: boolean,
  ): Promise<Expectation> {
    const { logger } = this.#options;
    const record = await this.#record(config);
    const trimmedTo = record?.trimmedTo ?? 0;
    const expected = (base: CheckpointBase | undefined) =>
      expectedIds(this.#options, config, { base, trimmedTo }, head, slice, signal);
    if (record === undefined || trimmedTo <= config.afterSequence) return expected(undefined);
    for (const base of await findBases(this.#options, config, record, isPressed))
      try {
        return await expected(base);
      } catch (error) {
        if (!isDamage(error)) throw error;
        const { current } = (await this.#record(config)) ?? {};
        if (current?.name !== record.current?.name)
          throw new ClusterError('POSITION_EXPIRED', 'the checkpoint was replaced meanwhile');
        const { space } = config;
        logger.warn({ err: error, space }, 'a checkpoint is of no use for verification');
      }
    return expected(undefined);
  }

  /** @throws ClusterError POSITION_EXPIRED when entries that count were removed meanwhile */
  async #requireUntrimmed(config: SpaceConfig, { from }: Pick<Expectation, 'from'>): Promise<void> {
    const trimmedTo = (await this.#record(config))?.trimmedTo ?? 0;
    if (trimmedTo > from)
      throw new ClusterError('POSITION_EXPIRED', 'the log was trimmed during the verification');
  }

  /** @throws ClusterError PARTITION_UNAVAILABLE for one that was lost, which a shard makes again */
  async #record({ space }: SpaceConfig): Promise<PartitionRecord | undefined> {
    const { register, partitionCount } = this.#options;
    const found = await register.find(partitionOf(space, partitionCount));
    if (found !== undefined && found.record === undefined)
      throw new ClusterError(
        'PARTITION_UNAVAILABLE',
        'the record of what was stored and removed of the partition is lost, or cannot be read',
        { hint: 'its shard makes it again within some seconds' },
      );
    return found?.record;
  }

  /** Visits every id of the index. @returns who has it */
  async #list(
    request: IdsRequest,
    { shard: wanted, waitMs, signal }: Asked,
    visit: (hit: WireHit) => void,
  ): Promise<MemberId> {
    const { router, timeoutMs } = this.#options;
    const { config } = request;
    const close = (from: MemberId, { cursor }: NextReply) => {
      if (cursor !== undefined) router.tellMember(from, 'close', { config, cursor });
    };
    const first =
      wanted === undefined
        ? router.ask<IdsReply>(config, {
            method: 'ids',
            body: request,
            timeoutMs,
            waitMs,
            onUnused: (unused) => close(unused.shard, unused.reply),
          })
        : router
            .askMember<IdsReply>(wanted, 'ids', request, waitMs + timeoutMs)
            .then((reply) => ({ shard: wanted, reply }));
    const { shard, reply } = await unlessAborted(first, signal);
    let page: NextReply = reply;
    for (;;) {
      const { hits, cursor } = page;
      hits.forEach(visit);
      if (cursor === undefined) return shard;
      const next: NextRequest = { config, cursor };
      if (signal.aborted) router.tellMember(shard, 'close', next);
      signal.throwIfAborted();
      page = await router.askMember<NextReply>(shard, 'next', next, timeoutMs);
    }
  }

  /** What differs for sure (V3), and how far that can be said. */
  async #judge(
    look: SecondLook,
    suspects: Suspects,
    expectation: Expectation,
  ): Promise<{
    readonly sure: Difference[];
    readonly unknown: number;
    readonly reasons: string[];
  }> {
    const { config } = look;
    let sure = await lookAgain(look, [...suspects.byId.values()]);
    if (sure.length > 0) {
      const skipped = await this.#crashed(config);
      // What ended its thread twice is in the log, and in no index that is in its senses.
      if (skipped.size > 0)
        sure = await lookAgain(
          { ...look, skipped },
          await expectedBefore(
            expectation,
            sure.map(({ id }) => id),
          ),
        );
    }
    const { trimmedTo, first } = await this.#bounds(config);
    const { knownTo } = expectation;
    const reasons: string[] = [];
    // A log that begins later than it was trimmed had nothing of the partition there, unless somebody
    // else removed it; then something differs.
    if (trimmedTo > knownTo || (first > knownTo + 1 && sure.length > 0))
      reasons.push(
        `the log begins at ${first}, the space behind ${knownTo}: what stood between is not known`,
      );
    // Older ones are of an earlier space of the same name, and have no right to be there.
    const isUnknown = ({ expected, found = first }: Difference) =>
      expected === undefined && found < first && found > knownTo;
    const known = sure.filter((each) => !isUnknown(each));
    return {
      sure: [...known, ...suspects.twice],
      unknown: suspects.unknown + sure.length - known.length,
      reasons,
    };
  }

  /** Entries of the space that are dead letters because they ended their thread. */
  async #crashed({ space }: SpaceConfig): Promise<Set<number>> {
    const sequences = new Set<number>();
    const filter = { order: 'oldest', reason: 'WORKER_CRASHED', space } as const;
    let cursor: string | undefined;
    do {
      const page = await this.#options.deadLetters.list({
        ...filter,
        limit: DEAD_LETTERS_A_PAGE,
        cursor,
      });
      for (const { sequence } of page.deadLetters) sequences.add(sequence);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return sequences;
  }

  /** Up to where the log was trimmed, and from where on it has all of the space. */
  async #bounds(config: SpaceConfig): Promise<Record<'trimmedTo' | 'first', number>> {
    const state = await streamState(this.#options.connection, this.#stripe(config));
    const trimmedTo = (await this.#record(config))?.trimmedTo ?? 0;
    return { trimmedTo, first: Math.max(state.firstSequence, trimmedTo + 1) };
  }

  #stripe({ space }: SpaceConfig): number {
    const { partitionCount, stripeCount } = this.#options;
    return stripeOf(partitionOf(space, partitionCount), stripeCount);
  }
}

/** Waits no longer once the signal aborts; the question then ends by its own time limit. */
function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const end = () => reject(signal.reason as Error);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    // Also of an answer that nobody waits for: its failure would be nobody's, and end the process.
    void answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', end));
  });
}
