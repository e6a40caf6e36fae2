// A load from outside on a cluster that runs: batches as fast as they are acknowledged, a few at a time, and recalls
// beside them.

import { setTimeout as pause } from 'node:timers/promises';
import { ClusterError, ConnectionError, type EngramClient } from '@engram/client';

export interface LoadOptions {
  readonly spaces: readonly string[];
  readonly dimension: number;
  /** Observations of a write. */
  readonly batch: number;
  /** Writes under way at one time. */
  readonly senders: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

export interface LoadResult {
  readonly seconds: number;
  readonly accepted: number;
  /** Writes that were asked to come later, and did. */
  readonly refused: number;
  readonly recalls: number;
  /** Milliseconds until the log had a write, and until a recall was answered. */
  readonly writes: Quantiles;
  readonly recalled: Quantiles;
}

export interface Quantiles {
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

/** Between two tries of a write that was refused without a time to wait. */
const RETRY_MS = 100;
/** Directions that embeddings lie around: as texts do, and not evenly in all of them. */
const CENTRES = 64;

/** @throws what the cluster refuses for good */
export async function runLoad(client: EngramClient, options: LoadOptions): Promise<LoadResult> {
  const { spaces, senders, batch, seconds } = options;
  const begunAt = performance.now();
  let failure: Error | undefined;
  const isOver = () =>
    failure !== undefined ||
    options.signal.aborted ||
    performance.now() - begunAt >= seconds * 1_000;
  const embeddings = new Embeddings(options.dimension);
  const writeMs: number[] = [];
  const recallMs: number[] = [];
  let sent = 0;
  let accepted = 0;
  let refused = 0;
  /** Tries until it is done, or the time is over. @throws what is refused for good */
  const insist = async (work: () => Promise<void>, onRefused: () => void): Promise<void> => {
    while (!isOver())
      try {
        await work();
        return;
      } catch (error) {
        const waitMs = waitOf(error);
        if (waitMs === undefined) throw error;
        onRefused();
        await pause(waitMs, undefined, { signal: options.signal }).catch(() => undefined);
      }
  };
  const write = async () => {
    while (!isOver()) {
      const n = sent++;
      const space = spaces[n % spaces.length]!;
      const observations = Array.from({ length: batch }, (_, i) => ({
        id: `${n}-${i}`,
        embedding: embeddings.next(),
      }));
      await insist(
        async () => {
          const sentAt = performance.now();
          const { accepted: stored } = await client.put(space, observations);
          accepted += stored;
          writeMs.push(performance.now() - sentAt);
        },
        () => refused++,
      );
    }
  };
  const recall = async () => {
    for (let n = 0; !isOver(); n++)
      await insist(
        async () => {
          const askedAt = performance.now();
          const query = { embedding: embeddings.next(), k: 10 };
          await client.recall(spaces[n % spaces.length]!, query);
          recallMs.push(performance.now() - askedAt);
        },
        () => undefined,
      );
  };
  // Nobody goes on writing where the others have failed.
  const noting = (work: () => Promise<void>) =>
    work().catch((error: unknown) => {
      failure ??= error instanceof Error ? error : new Error(String(error));
    });
  await Promise.all([recall, ...Array<typeof write>(senders).fill(write)].map(noting));
  if (failure !== undefined) throw failure;
  return {
    seconds: (performance.now() - begunAt) / 1_000,
    accepted,
    refused,
    recalls: recallMs.length,
    writes: quantilesOf(writeMs),
    recalled: quantilesOf(recallMs),
  };
}

/** How long to wait before it is tried again; undefined where that is of no use. */
function waitOf(error: unknown): number | undefined {
  if (error instanceof ConnectionError) return RETRY_MS;
  if (!(error instanceof ClusterError) || error.retry === 'never') return undefined;
  const { retryAfterMs } = error.details;
  return typeof retryAfterMs === 'number' ? retryAfterMs : RETRY_MS;
}

function quantilesOf(ms: number[]): Quantiles {
  const sorted = ms.sort((left, right) => left - right);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Around some directions, at random: their values do not matter, only that graphs have something to do. */
class Embeddings {
  readonly #centres: readonly Float32Array[];

  constructor(dimension: number) {
    const random = () => Float32Array.from({ length: dimension }, () => Math.random() - 0.5);
    this.#centres = Array.from({ length: CENTRES }, random);
  }

  next(): Float32Array {
    const centre = this.#centres[Math.floor(Math.random() * CENTRES)]!;
    return centre.map((value) => value + 0.5 * (Math.random() - 0.5));
  }
}
