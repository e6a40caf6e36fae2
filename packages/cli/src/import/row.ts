import type { Observation } from '@engram/model';
import type { Fault, Line } from './lines.ts';

/** What a reader makes of a line: an observation for the cluster to judge, or a fault. */
export type Row = GoodRow | FaultyRow;

export interface GoodRow {
  readonly line: number;
  /** As it stands in the file. */
  readonly text: string;
  readonly observation: Observation;
}

export interface FaultyRow {
  readonly line: number;
  readonly text: string;
  readonly fault: Fault;
}

export function faultyRow({ number, text }: Line, fault: Fault): FaultyRow {
  return { line: number, text, fault };
}
