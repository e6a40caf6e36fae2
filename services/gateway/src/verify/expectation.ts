import { setImmediate as nextTurn } from 'node:timers/promises';
import { readEntries, stripeOf, type LogConnection, type LogMessage } from '@engram/log';
import { partitionOf, type SpaceConfig } from '@engram/model';
import type { Clock, Logger } from '@engram/runtime';
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
  /** What it was built from. */
  readonly basis: 'log';
  readonly fold: SpaceFold;
}

/** Some 60 MB with usual ids, 200 MB with the longest. */
const IDS_MAX = 500_000;
/** Requests are served between two slices; one entry is never parted. */
const SLICE_MS = 5;

/**
 * What the index must hold once everything up to a sequence of the log is applied.
 * @throws ClusterError LOG_UNAVAILABLE; the signal's reason
 */
export async function expectedIds(
  source: LogSource,
  config: SpaceConfig,
  upTo: number,
  slice: Slice,
  signal: AbortSignal,
): Promise<Expectation> {
  const fold = new SpaceFold(config, IDS_MAX, slice);
  await forEachEntry(source, config, config.afterSequence + 1, upTo, signal, (entry) =>
    fold.add(entry),
  );
  return { basis: 'log', fold };
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
