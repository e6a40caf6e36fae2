import type { GraphIndex } from '@engram/vector-index';
import type { Deaths } from './deaths.ts';
import { isWithin, sequenceOf, type Snapshot } from './stamp.ts';

/** Part of a space: rows, and a graph over some of them or none. */
export interface Segment {
  /** In the space, from 1; the id table points to it. */
  readonly number: number;
  readonly rows: number;
  readonly deaths: Deaths;
  /** Lowest sequence of a row, Infinity while there is none. */
  readonly oldest: number;
  readonly graph: GraphIndex | undefined;
  /** Rows below this are in the graph; the others are scanned. */
  readonly graphedTo: number;
  stamp(row: number): number;
  isId(row: number, text: Uint8Array, start: number, end: number): boolean;
  /** Exact rank: higher is nearer. */
  rank(row: number, query: Query): number;
  /** Offers every row from `graphedTo` on that can be among the `count` nearest living ones. */
  scan(query: Query, count: number, offer: (row: number) => void): void;
  read(row: number): StoredObservation;
  /** Calls with the JSON text of the metadata of rows `from` to `to - 1`, in order. */
  forEachMetadata(
    from: number,
    to: number,
    visit: (row: number, text: string | undefined) => void,
  ): void;
  /** Calls with the id and the stamp of rows `from` to `to - 1`, in order. */
  forEachId(
    from: number,
    to: number,
    visit: (row: number, id: string, stamp: number) => void,
  ): void;
  /** Private memory in bytes. */
  readonly bytes: number;
}

/** What is asked for, with what is computed of it once. */
export interface Query {
  readonly embedding: Float32Array;
  readonly norm: number;
}

export interface StoredObservation {
  readonly id: string;
  readonly sequence: number;
  /** A copy. */
  readonly embedding: Float32Array;
  /** JSON text. */
  readonly metadata: string | undefined;
  /** Milliseconds since 1970, or NaN. */
  readonly timestamp: number;
}

/** Whether a row exists for who sees the log up to the snapshot; without one, whether it lives. */
export function isVisible(segment: Segment, row: number, asOf: Snapshot | undefined): boolean {
  const death = segment.deaths.at(row);
  if (asOf === undefined) return death === 0;
  if (death !== 0 && isWithin(death, asOf)) return false;
  return isWithin(segment.stamp(row), asOf);
}

export function observationOf(
  stamp: number,
  timestamp: number,
  embedding: Float32Array,
  text: Buffer,
  idBytes: number,
): StoredObservation {
  return {
    id: text.toString('utf8', 0, idBytes),
    sequence: sequenceOf(stamp),
    embedding,
    metadata: text.length === idBytes ? undefined : text.toString('utf8', idBytes),
    timestamp,
  };
}
