// One import of the data set, by one of the two ways in, timed at three points.

import { setTimeout as pause } from 'node:timers/promises';
import type { EngramClient } from '@engram/client';
import { encodeBatch } from '@engram/codec';
import { WORD_DIMENSION, type Word } from '@engram/demo';
import {
  ClusterError,
  formatPosition,
  parsePosition,
  parseSpaceId,
  partitionOf,
  type Position,
} from '@engram/model';
import { connect } from 'nats';
import type { FreshCluster } from './fresh-cluster.ts';

export const SPACE = 'words';
export const BATCH = 500;
export const IN_FLIGHT = 4;
/** Between two looks at the count of indexed observations: the resolution of `indexedMs`. */
export const INDEXED_POLL_MS = 25;

const PARTITION_COUNT = 64; // LocalCluster's default
const PUBLISH_TIMEOUT_MS = 30_000;
const SEARCHABLE_WAIT_MS = 10_000;
const SETTLED_MS_MAX = 600_000;

export interface ImportTimes {
  /** From the first call to the last acknowledgement that the log has it. */
  readonly loggedMs: number;
  /** Until a recall that has to see the last write was answered. */
  readonly searchableMs: number;
  /** Until every observation was in the graph. */
  readonly indexedMs: number;
}

/** Writes all words and gives the position of the last in the log. */
type Write = (
  cluster: FreshCluster,
  words: readonly Word[],
  signal: AbortSignal,
) => Promise<Position>;

/** @param onSearchable told with the time, in milliseconds since the epoch */
export async function runImport(
  cluster: FreshCluster,
  words: readonly Word[],
  write: Write,
  signal: AbortSignal,
  onSearchable?: (atMs: number) => void,
): Promise<ImportTimes> {
  const { client } = cluster;
  const startedAt = performance.now();
  const position = await write(cluster, words, signal);
  const loggedMs = performance.now() - startedAt;
  await searchable(client, words[0]!, formatPosition(position), signal);
  const searchableMs = performance.now() - startedAt;
  onSearchable?.(performance.timeOrigin + performance.now());
  await indexed(client, words.length, signal);
  return { loggedMs, searchableMs, indexedMs: performance.now() - startedAt };
}

/** Through the gateway with the client's defaults: JSON, embeddings as base64 of float32. */
export const writeByRest: Write = async ({ client }, words, signal) => {
  let last: Position | undefined;
  await inFlight(batches(words), async (batch) => {
    const observations = batch.map(({ word, embedding }) => ({ id: word, embedding }));
    const { position } = await client.put(SPACE, observations, { ack: 'logged', signal });
    last = later(last, parsePosition(position, ''));
  });
  return last!;
};

/** Past the gateway: binary frames, published by a plain NATS client. */
export const writeByNats: Write = async ({ natsUrl }, words, signal) => {
  const nats = await connect({ servers: natsUrl });
  try {
    const partition = partitionOf(parseSpaceId(SPACE), PARTITION_COUNT);
    const stream = nats.jetstream();
    let last: Position | undefined;
    await inFlight(batches(words), async (batch) => {
      signal.throwIfAborted();
      const items = batch.map(({ word, embedding }, index) => ({
        value: { id: word, embedding },
        pointer: `/${index}`,
      }));
      const encoded = encodeBatch(items, { dimension: WORD_DIMENSION, metric: 'cosine' });
      if (encoded.errors.length > 0) throw new Error(encoded.errors[0]!.detail);
      for (const { lane, bytes } of encoded.frames) {
        const subject = `observe.${lane}.${SPACE}`;
        const { seq } = await stream.publish(subject, bytes, { timeout: PUBLISH_TIMEOUT_MS });
        const sequences = { high: 0, normal: 0, low: 0, [lane]: seq };
        last = later(last, { partition, sequences });
      }
    });
    return last!;
  } finally {
    await nats.close();
  }
};

/** Everything goes through one lane here, so the highest sequence covers the others. */
function later(left: Position | undefined, right: Position): Position {
  return left !== undefined && left.sequences.normal > right.sequences.normal ? left : right;
}

function* batches(words: readonly Word[]): Generator<readonly Word[], void> {
  for (let start = 0; start < words.length; start += BATCH) yield words.slice(start, start + BATCH);
}

/** Takes the next batch as soon as one of IN_FLIGHT is done. */
async function inFlight(
  source: Iterable<readonly Word[]>,
  send: (batch: readonly Word[]) => Promise<void>,
): Promise<void> {
  const queue = source[Symbol.iterator]();
  const sender = async (): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) await send(next.value);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sender));
}

async function searchable(
  client: EngramClient,
  { embedding }: Word,
  minPosition: string,
  signal: AbortSignal,
): Promise<void> {
  const query = { embedding, k: 1, minPosition, waitMs: SEARCHABLE_WAIT_MS };
  const end = performance.now() + SETTLED_MS_MAX;
  for (;;) {
    try {
      await client.recall(SPACE, query, { signal });
      return;
    } catch (error) {
      const isLate = error instanceof ClusterError && error.code === 'POSITION_NOT_REACHED';
      if (!isLate || performance.now() >= end) throw error;
    }
  }
}

async function indexed(client: EngramClient, count: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + SETTLED_MS_MAX;
  for (;;) {
    const status = await client.space(SPACE, { signal });
    if (status.count !== count)
      throw new Error(`${count} words were written, the space has ${status.count}`);
    if (status.indexed === count) return;
    if (performance.now() >= end) throw new Error(`only ${status.indexed} words were indexed`);
    await pause(INDEXED_POLL_MS, undefined, { signal });
  }
}
