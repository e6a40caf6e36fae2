// Loads of batches to many spaces, with what they use of the machine.

import { encodeFrame } from '@engram/codec';
import { percentile } from '../samples.ts';
import type { FreshCluster } from '../fresh-cluster.ts';
import { clustered } from '../vectors.ts';
import { writeLoad, type Pace, type WriteTally } from '../write-load.ts';
import { metered, type Metered } from './meter.ts';

/** So many that a ring of four has something to spread. */
const SPACES = 24;
const ROWS = 4_000;

/** Each sends its next batch as soon as the one before is searchable. */
export const SENDERS = 16;

/**
 * Without refusals, after which senders pause for a second at least; without graphs, which give way to what is written, without checkpoints, which come in bursts, and with room for
 * all that the loads write: what each of those costs is measured by itself.
 */
export const LOAD_SETTINGS = {
  ENGRAM_GRAPH_THRESHOLD: '10000000',
  ENGRAM_SEGMENT_BYTES_MAX: String(4_096 * 2 ** 20),
  ENGRAM_CHECKPOINT_MS: '3600000',
  ENGRAM_CHECKPOINT_BYTES: String(2 ** 36),
  ENGRAM_LOG_BYTES_MAX: String(2 ** 34),
  ENGRAM_LAG_NORMAL_MAX_MS: '60000',
  ENGRAM_LOOP_DELAY_MAX_MS: '0',
  ENGRAM_LANE_BYTES_MAX: String(2 ** 28),
} as const;

export interface Target {
  readonly dimension: number;
  readonly batch: number;
  readonly spaces: readonly string[];
  readonly bodies: readonly Uint8Array[];
}

function spacesOf(dimension: number): string[] {
  return Array.from({ length: SPACES }, (_, index) => `load-${dimension}-${index}`);
}

/** Batches of clustered rows; ids repeat after some thousand rows of a space. */
export async function targetOf(
  dimension: number,
  batch: number,
  signal: AbortSignal,
): Promise<Target> {
  return {
    dimension,
    batch,
    spaces: spacesOf(dimension),
    bodies: await framesOf(ROWS, dimension, batch, signal),
  };
}

export async function framesOf(
  rows: number,
  dimension: number,
  batch: number,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const { slab } = await clustered(rows, dimension, signal);
  const none = Array.from({ length: batch }, () => undefined);
  return Array.from({ length: Math.floor(rows / batch) }, (_, number) =>
    encodeFrame({
      dimension,
      ids: Array.from({ length: batch }, (_, row) => `row-${number * batch + row}`),
      deletes: [],
      embeddings: slab.subarray(number * batch * dimension, (number + 1) * batch * dimension),
      timestamps: none.map(() => NaN),
      metadata: none,
    }),
  );
}

/** Runs a load to its end; all that was accepted is searchable then. */
export function load(
  { cluster, url }: FreshCluster,
  { batch, bodies, spaces }: Target,
  pace: Pace,
  durationMs: number,
  signal: AbortSignal,
): Promise<Metered<WriteTally>> {
  return metered(cluster, () =>
    writeLoad(
      {
        url,
        spaces,
        bodies,
        observationsPerBody: batch,
        lane: 'normal',
        ack: 'searchable',
        pace,
        durationMs,
      },
      signal,
    ),
  );
}

export const CLOSED = { kind: 'closed', senders: SENDERS, obeys: 'milliseconds' } as const;

export function poisson(batchesPerS: number): Pace {
  return { kind: 'open', perSecond: batchesPerS, outstandingMax: 100, arrivals: 'poisson' };
}

export function rateOf({ result, elapsedMs: _ }: Metered<WriteTally>): number {
  return (result.acceptedObservations * 1_000) / result.elapsedMs;
}

export function p99Of({ result }: Metered<WriteTally>): number {
  return percentile(result.latenciesMs, 99);
}
