// From coefficients to what a batch, a row and a space take.

import type { Coefficients, LinearBytes, StageCost } from './coefficients.ts';

/** Frames of gateways are no larger: `FRAME_BYTES_MAX` of the codec. */
const FRAME_BYTES_MAX = 256 * 1_024;
/** Rows of a space below which it has no graph: `ENGRAM_GRAPH_THRESHOLD`. */
export const GRAPH_ROWS_MIN = 4_000;
/** Rows of a growing segment take so much until it is sealed: `ENGRAM_SEGMENT_BYTES_MAX`. */
const SEGMENT_BYTES = 64 * 2 ** 20;
/** Segments of one size that become one, and how large one gets at most. */
const SEGMENTS_A_MERGE = 4;
const MERGED_BYTES_MAX = 2 ** 30;
/** What a row has beside its embedding. */
const ROW_BYTES = 32;

/** What is written at a time. */
export interface Batch {
  readonly dimension: number;
  /** Observations of a request. */
  readonly batch: number;
  /** Of an observation, as JSON. */
  readonly metadataBytes: number;
}

/** Microseconds of processor time for one request. */
export interface BatchCosts {
  readonly client: number;
  readonly gateway: number;
  readonly store: number;
  readonly deliver: number;
  readonly apply: number;
}

export function linear({ fixedBytes, perDimensionBytes }: LinearBytes, dimension: number): number {
  return fixedBytes + perDimensionBytes * dimension;
}

/** Of one observation in the log, its metadata included. */
export function loggedBytes({ log }: Coefficients, { dimension, metadataBytes }: Batch): number {
  return linear(log, dimension) + metadataBytes;
}

export function batchCosts(coefficients: Coefficients, written: Batch): BatchCosts {
  const bytes = written.batch * loggedBytes(coefficients, written);
  const frames = Math.ceil(bytes / FRAME_BYTES_MAX);
  const { cpu } = coefficients;
  const of = ({ perBatchUs, perObservationUs, perByteUs }: StageCost, times: number) =>
    times * perBatchUs + written.batch * perObservationUs + bytes * perByteUs;
  return {
    client: of(cpu.client, 1),
    gateway: of(cpu.gateway, 1),
    store: of(cpu.store, frames),
    deliver: of(cpu.deliver, frames),
    apply: of(cpu.apply, frames),
  };
}

/** Microseconds for one insertion into a graph that grows to so many rows. */
export function insertionUs({ cpu }: Coefficients, dimension: number, rows: number): number {
  const { fixedUs, perDimensionUs, perDoublingUs } = cpu.graph;
  return fixedUs + perDimensionUs * dimension + perDoublingUs * Math.log2(Math.max(2, rows));
}

/** Rows of a segment when it is sealed. */
export function segmentRows({ dimension, metadataBytes }: Batch): number {
  return SEGMENT_BYTES / (4 * dimension + ROW_BYTES + metadataBytes);
}

/**
 * How often a row is put into a graph because its space outgrows a class of segments: four of one size
 * are merged into one, up to 1 GiB (`packages/space-engine/src/merge-plan.ts`).
 */
export function mergesOf(written: Batch, rows: number): number {
  const classes = Math.log(MERGED_BYTES_MAX / SEGMENT_BYTES) / Math.log(SEGMENTS_A_MERGE);
  const grown = Math.log(Math.max(1, rows / segmentRows(written))) / Math.log(SEGMENTS_A_MERGE);
  return Math.min(classes, Math.floor(grown));
}

/**
 * How often a row is put into a graph anew at most because others of its segment die of age: a segment
 * is written anew when a quarter is dead, until one row in sixteen lives: (3/4) + (3/4)² + …
 */
export function rewritesOf(): number {
  const [kept, spent] = [3 / 4, 1 / 16];
  let [sum, living] = [0, 1];
  while (living * kept >= spent) sum += living *= kept;
  return sum;
}
