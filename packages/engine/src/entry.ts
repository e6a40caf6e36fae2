import { frameCounts } from '@engram/codec';
import type { ClusterError, ItemError } from '@engram/model';
import type { EntryTask } from './protocol.ts';

/** An entry of the log. */
export type Entry = Omit<EntryTask, 'drops'> & {
  /** Observations and deletes in it, as far as that is known. */
  readonly observations: number;
};

export interface Applied {
  readonly applied: number;
  readonly stale: number;
  /** What was refused of it, for the dead letters. */
  readonly errors: readonly ItemError[];
}

/** Deletes free memory, so they pass where nothing else does. */
export function isDeletesOnly({ kind, bytes }: Entry): boolean {
  return kind === 'frame' && frameCounts(bytes)?.puts === 0;
}

export function quarantined(error: ClusterError): Applied {
  return { applied: 0, stale: 0, errors: [{ index: 0, code: error.code, detail: error.message }] };
}
