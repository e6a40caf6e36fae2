import type { Rule, Seen, WriteEvent } from './event.ts';
import { isKnown, type Bound, type WriteIndex } from './write-index.ts';

/** What a view of one id must hold. */
export interface Demand {
  /** At least what this much of the log says. */
  readonly atLeast: Bound;
  /** The rule that is broken where it is older. */
  readonly rule: 'final' | 'stale' | 'watermark';
  /** Tick at which the view was complete: nothing that began later can be in it. */
  readonly ended: number;
}

export type Fault = { readonly rule: Rule; readonly detail: string };

/** Why an observation cannot have been seen; undefined when it can. */
export function faultOfSeen(
  index: WriteIndex,
  space: string,
  seen: Seen,
  demand: Demand,
): Fault | undefined {
  const { id, version, isIntact } = seen;
  const puts = index
    .puts(version)
    .filter((put) => put.space === space && put.id === id && put.begun <= demand.ended);
  if (puts.length === 0) return { rule: 'phantom', detail: `version ${version} was not written` };
  const possible = puts.filter(({ outcome }) => outcome !== 'rejected');
  if (possible.length === 0) return { rule: 'refused', detail: `version ${version} was refused` };
  if (!isIntact) return { rule: 'altered', detail: `version ${version}` };
  const decisive = index.of(space, id).decisive(demand.atLeast);
  if (decisive === undefined) return undefined;
  const isNewEnough = possible.some((put) => !isKnown(put) || put.sequence >= decisive.sequence);
  if (isNewEnough) return undefined;
  const detail = `version ${version} is shown, but ${told(decisive)} came later`;
  if (demand.rule !== 'final') return { rule: demand.rule, detail };
  return { rule: decisive.kind === 'delete' ? 'resurrected' : 'order', detail };
}

/** Why an id cannot have been absent; undefined when it can. */
export function faultOfAbsence(
  index: WriteIndex,
  space: string,
  id: string,
  demand: Demand,
): Fault | undefined {
  const writes = index.of(space, id);
  const decisive = writes.decisive(demand.atLeast);
  if (decisive === undefined || decisive.kind === 'delete') return undefined;
  const mayBeDeleted =
    writes.known.some(
      ({ kind, sequence, begun }) =>
        kind === 'delete' && sequence > decisive.sequence && begun <= demand.ended,
    ) || writes.unknown.some(({ kind, begun }) => kind === 'delete' && begun <= demand.ended);
  if (mayBeDeleted) return undefined;
  return {
    rule: demand.rule === 'final' ? 'missing' : demand.rule,
    detail: `${told(decisive)} is not there`,
  };
}

export function told(write: WriteEvent): string {
  const what = write.kind === 'put' ? `version ${write.version}` : 'a delete';
  return `${what} at ${write.sequence ?? '?'} (${write.lane})`;
}
