import { setImmediate as nextTurn } from 'node:timers/promises';
import { readEntries, stripeOf, type LogConnection, type LogMessage } from '@engram/log';
import { partitionOf, type SpaceConfig } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
import type { CheckpointBase } from './checkpoint-base.ts';
import type { Suspect } from './differences.ts';
import { SpaceFold } from './fold.ts';
import type { Slice } from './slice.ts';

/** Where expectations come from. */
export interface LogSource {
  readonly connection: LogConnection;
  readonly partitionCount: number;
  readonly stripeCount: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Expectation {
  readonly fold: SpaceFold;
  /** Where the log no longer reaches back to the beginning of the space. */
  readonly base: CheckpointBase | undefined;
  /** From behind this the log was read. */
  readonly from: number;
  /** Up to there it is known what the space held; between the two it is not. */
  readonly knownTo: number;
}

/** Some 60 MB with usual ids, 200 MB with the longest. */
const IDS_MAX = 500_000;
/** Requests are served between two slices; one entry is never parted. */
const SLICE_MS = 5;

/**
 * What the index must hold once everything up to a sequence of the log is applied.
 * @param before what the space held before the log as it is now, and else up to where that was trimmed:
 * a killed nats-server brings back what it had removed
 * @throws ClusterError LOG_UNAVAILABLE, and as the base does; the signal's reason
 */
export async function expectedIds(
  source: LogSource,
  config: SpaceConfig,
  before: { readonly base: CheckpointBase | undefined; readonly trimmedTo: number },
  upTo: number,
  slice: Slice,
  signal: AbortSignal,
): Promise<Expectation> {
  const { base, trimmedTo } = before;
  const fold = new SpaceFold(config, IDS_MAX, slice);
  await base?.forEachId((id, sequence) => fold.seed(id, sequence));
  const knownTo = base?.watermark ?? config.afterSequence;
  const from = Math.max(knownTo, trimmedTo);
  await forEachEntry(source, config, from + 1, upTo, signal, (entry) => fold.add(entry));
  return { fold, base, from, knownTo };
}

/** What the space held at `from`, of some ids. */
export async function expectedBefore(
  { base, from }: Expectation,
  ids: readonly string[],
): Promise<Suspect[]> {
  const known = new Map<string, number>();
  const wanted = new Set(ids);
  await base?.forEachId((id, sequence) => {
    if (wanted.has(id)) known.set(id, sequence);
  });
  return ids.map((id) => {
    const expected = known.get(id);
    return { id, head: from, ...(expected === undefined ? {} : { expected }) };
  });
}

/** Visits the entries of a space in a range of the log, in their order and in slices. */
export async function forEachEntry(
  { connection, partitionCount, stripeCount, clock, logger }: LogSource,
  { space }: SpaceConfig,
  first: number,
  last: number,
  signal: AbortSignal,
  visit: (entry: LogMessage) => void,
): Promise<void> {
  const partition = partitionOf(space, partitionCount);
  const stripe = stripeOf(partition, stripeCount);
  const range = { stripe, partition, space, first, last, clock, logger, signal };
  let endsAt = clock.now() + SLICE_MS;
  for await (const entry of readEntries(connection, range)) {
    visit(entry);
    if (clock.now() < endsAt) continue;
    await nextTurn();
    endsAt = clock.now() + SLICE_MS;
  }
}
