// Ids that differed at first sight are looked at one by one, against the log of that very moment.
//
//   V1. An id is called different only when what the index answered is neither what the log said before
//       the question nor anything that the log said until after the answer. So writes that go on, and
//       entries that others in another lane had overtaken, are no differences.

import type { GetReply, GetRequest } from '@engram/codec';
import { streamHead, stripeOf } from '@engram/log';
import {
  formatPosition,
  partitionOf,
  type Lane,
  type MemberId,
  type SpaceConfig,
} from '@engram/model';
import type { Router } from '../cluster/router.ts';
import type { Difference, Suspect } from './differences.ts';
import { forEachEntry, type LogSource } from './expectation.ts';
import { outcomeOf } from './fold.ts';

export interface SecondLook {
  readonly source: LogSource;
  readonly router: Router;
  readonly config: SpaceConfig;
  readonly shard: MemberId;
  /** What was compared at first sight. */
  readonly compared: Readonly<Record<Lane, number>>;
  /** For one question, the wait for what it asks about included. */
  readonly waitMs: number;
  readonly timeoutMs: number;
  /** Entries that were set aside as a whole although nothing is wrong with them. */
  readonly skipped: ReadonlySet<number>;
  readonly signal: AbortSignal;
}

/** Questions under way at one time. */
const WIDTH = 16;

/**
 * The suspects that differ for sure.
 * @throws ClusterError LOG_UNAVAILABLE, PARTITION_UNAVAILABLE, POSITION_NOT_REACHED
 */
export async function lookAgain(
  look: SecondLook,
  suspects: readonly Suspect[],
): Promise<Difference[]> {
  if (suspects.length === 0) return [];
  const { source, config, skipped, signal } = look;
  const states = new Map(
    suspects.map(({ id, expected, head }) => [id, { head, said: [expected], expected }]),
  );
  const sequences = { ...look.compared };
  const read = async (first: number, last: number, isAfter: boolean) =>
    forEachEntry(source, config, first, last, signal, (entry) => {
      const { sequence, lane } = entry;
      if (!isAfter) sequences[lane] = sequence;
      if (skipped.has(sequence)) return;
      const { puts, deletes } = outcomeOf(entry, config);
      const say = (id: string, expected: number | undefined) => {
        const state = states.get(id);
        if (state === undefined || sequence <= state.head) return;
        state.expected = expected;
        state.said = isAfter ? [...state.said, expected] : [expected];
      };
      for (const id of puts) say(id, sequence);
      for (const id of deletes) say(id, undefined);
    });
  const head = () => {
    const stripe = stripeOf(partitionOf(config.space, source.partitionCount), source.stripeCount);
    return streamHead(source.connection, stripe);
  };
  const first = Math.min(...suspects.map((suspect) => suspect.head)) + 1;
  const before = await head();
  await read(first, before, false);
  const found = await ask(look, [...states.keys()], sequences);
  await read(before + 1, await head(), true);
  const different: Difference[] = [];
  for (const [id, { said, expected }] of states) {
    const sequence = found.get(id);
    if (said.includes(sequence)) continue; // V1
    different.push({
      id,
      ...(expected === undefined ? {} : { expected }),
      ...(sequence === undefined ? {} : { found: sequence }),
    });
  }
  return different;
}

/** What the index has of each id once these entries are applied: the sequence of its entry. */
async function ask(
  { source, router, config, shard, waitMs, timeoutMs, signal }: SecondLook,
  ids: readonly string[],
  sequences: Readonly<Record<Lane, number>>,
): Promise<Map<string, number | undefined>> {
  const partition = partitionOf(config.space, source.partitionCount);
  const minPosition = formatPosition({ partition, sequences });
  const found = new Map<string, number | undefined>();
  let next = 0;
  const one = async () => {
    while (next < ids.length) {
      const id = ids[next++]!;
      const body: GetRequest = { config, id, minPosition, waitMs, needsReady: true };
      const reply = await router.askMember<GetReply>(shard, 'get', body, waitMs + timeoutMs);
      found.set(id, reply.found?.sequence);
      signal.throwIfAborted();
    }
  };
  await Promise.all(Array.from({ length: Math.min(WIDTH, ids.length) }, one));
  return found;
}
