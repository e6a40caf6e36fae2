// Asks one shard after the other until one has a good answer, and a second one beside the first when
// that one takes long.
//
//   H1. The first good answer is the result. One that another shard may better (`poor`) is kept while the
//       others that are ready are asked, and is the result when none of them has a good one.
//   H2. At most two are asked at one time, and only shards that are ready are asked beside another.
//   H3. Every answer is the result or is handed to `onUnused`, also when it comes later.

import type { ClusterError, MemberId } from '@engram/model';
import type { Clock } from '@engram/runtime';

/** What asking one shard came to. */
export type Outcome<T> =
  | { readonly kind: 'good' | 'poor'; readonly reply: T }
  /** Another shard may have an answer; `isTold` when it is a ready shard's word about its own state. */
  | { readonly kind: 'failed'; readonly error: ClusterError; readonly isTold: boolean }
  /** Every shard would say the same. */
  | { readonly kind: 'refused'; readonly error: ClusterError };

export interface Turns<T> {
  /** Best first. */
  readonly shards: readonly MemberId[];
  /** So many of the first are ready. */
  readonly readyCount: number;
  /** Silence after which another one is asked too; undefined: never. */
  readonly hedgeAfterMs: number | undefined;
  readonly clock: Clock;
  /** Must not reject. */
  readonly ask: (shard: MemberId, place: number) => Promise<Outcome<T>>;
  /** Whether a hedge may be sent now. */
  readonly mayHedge: () => boolean;
  readonly onUnused: (shard: MemberId, reply: T) => void;
}

export interface Answered<T> {
  readonly shard: MemberId;
  readonly reply: T;
}

export interface Won<T> extends Answered<T> {
  /** It was asked beside another that had been silent. */
  readonly isHedge: boolean;
  /** Who was asked and has not answered. */
  readonly overtaken: readonly MemberId[];
}

interface Told<T> {
  readonly shard: MemberId;
  readonly outcome: Outcome<T>;
}

/**
 * @returns the answer, or what the shards that were asked failed with, in their order
 * @throws ClusterError what a shard refused the question with
 */
export async function firstGood<T>(turns: Turns<T>): Promise<Won<T> | ClusterError[]> {
  const { shards, readyCount, clock } = turns;
  const running = new Map<MemberId, Promise<Told<T>>>();
  const failures: ClusterError[] = [];
  let poor: Answered<T> | undefined;
  let hedge: MemberId | undefined;
  let mayHedge = turns.hedgeAfterMs !== undefined;
  let next = 0;
  let end = shards.length;
  const askNext = (): MemberId => {
    const shard = shards[next]!;
    running.set(
      shard,
      turns.ask(shard, next++).then((outcome) => ({ shard, outcome })),
    );
    return shard;
  };
  const won = (answer: Answered<T>): Won<T> => ({
    ...answer,
    isHedge: answer.shard === hedge,
    overtaken: [...running.keys()],
  });
  try {
    for (;;) {
      if (running.size === 0) {
        if (next >= end) break;
        askNext();
      }
      const isPatient = !mayHedge || next >= Math.min(end, readyCount);
      const told = await firstOf(running, isPatient ? undefined : turns.hedgeAfterMs, clock);
      if (told === undefined) {
        mayHedge = false; // H2
        if (turns.mayHedge()) hedge = askNext();
        continue;
      }
      const { shard, outcome } = told;
      running.delete(shard);
      switch (outcome.kind) {
        case 'good':
          return won({ shard, reply: outcome.reply });
        case 'poor':
          if (poor === undefined) poor = { shard, reply: outcome.reply };
          else turns.onUnused(shard, outcome.reply); // H3
          end = Math.max(next, Math.min(end, readyCount)); // H1
          break;
        case 'failed':
          failures.push(outcome.error);
          // Those that still read the log know less than a ready one that says what it lacks.
          if (outcome.isTold) end = Math.max(next, Math.min(end, readyCount));
          break;
        case 'refused':
          throw outcome.error;
      }
    }
    if (poor === undefined) return failures;
    const answer = won(poor);
    poor = undefined;
    return answer;
  } finally {
    if (poor !== undefined) turns.onUnused(poor.shard, poor.reply);
    for (const late of running.values())
      void late.then(({ shard, outcome }) => {
        if ('reply' in outcome) turns.onUnused(shard, outcome.reply); // H3
      });
  }
}

/** Undefined after the time. */
async function firstOf<T>(
  running: ReadonlyMap<MemberId, Promise<T>>,
  afterMs: number | undefined,
  clock: Clock,
): Promise<T | undefined> {
  if (afterMs === undefined) return Promise.race(running.values());
  const answered = new AbortController();
  try {
    const silence = clock.sleep(afterMs, answered.signal).then(() => undefined);
    return await Promise.race([...running.values(), silence]);
  } finally {
    answered.abort();
  }
}
