import {
  LANES,
  type FinalState,
  type HistoryEvent,
  type Lane,
  type ReadEvent,
  type Seen,
  type WriteEvent,
} from './event.ts';

/** `late`: the client heard nothing, but the log has it. `lost`: it heard nothing, and the log neither. */
export type ModelStep =
  | {
      readonly do: 'put' | 'delete';
      readonly id: string;
      readonly lane: Lane;
      readonly outcome: 'ok' | 'rejected' | 'lost' | 'late';
    }
  | { readonly do: 'apply'; readonly lane: Lane }
  | { readonly do: 'read' | 'snapshot' | 'poison' }
  | { readonly do: 'read-own'; readonly id: string };

interface Entry {
  readonly kind: 'put' | 'delete';
  readonly id: string;
  readonly lane: Lane;
  readonly version: number;
  readonly sequence: number;
}

/** A cluster of one space that does all as promised: lanes are applied each in its own time. */
export function runModel(steps: readonly ModelStep[]): {
  readonly history: HistoryEvent[];
  readonly final: FinalState;
} {
  const history: HistoryEvent[] = [];
  const log: Entry[] = [];
  const applied: Record<Lane, number> = { high: 0, normal: 0, low: 0 };
  const deadLetters = new Set<number>();
  const snapshots: { readonly asOf: string; readonly seen: Seen[] }[] = [];
  let tick = 0;
  let sequence = 0;
  const stateAt = (bound: Readonly<Record<Lane, number>>): Seen[] => {
    const latest = new Map<string, Entry>();
    for (const entry of log) if (entry.sequence <= bound[entry.lane]) latest.set(entry.id, entry);
    return [...latest.values()]
      .filter(({ kind }) => kind === 'put')
      .map(({ id, version }) => ({ id, version, isIntact: true }));
  };
  const tokenOf = (bound: Readonly<Record<Lane, number>>) =>
    `0-${LANES.map((lane) => bound[lane]).join('.')}`;
  const read = (more: Omit<ReadEvent, 'kind' | 'space' | 'begun' | 'ended'>) =>
    history.push({ kind: 'read', space: 's', begun: ++tick, ended: ++tick, ...more });

  for (const step of steps) {
    switch (step.do) {
      case 'put':
      case 'delete': {
        const version = ++tick;
        const isStored = step.outcome === 'ok' || step.outcome === 'late';
        const outcome =
          step.outcome === 'late' || step.outcome === 'lost' ? 'unknown' : step.outcome;
        const { id, lane } = step;
        const place = { kind: step.do, id, lane, version };
        if (isStored) log.push({ ...place, sequence: ++sequence });
        const event: WriteEvent = {
          ...place,
          space: 's',
          request: version,
          outcome,
          begun: version,
          ended: ++tick,
        };
        history.push(outcome === 'ok' ? { ...event, sequence } : event);
        break;
      }
      case 'apply':
        applied[step.lane] =
          log.find((entry) => entry.lane === step.lane && entry.sequence > applied[step.lane])
            ?.sequence ?? applied[step.lane];
        break;
      case 'read':
        read({ covers: 'space', seen: stateAt(applied), watermark: tokenOf(applied) });
        break;
      case 'read-own': {
        const minPosition = { ...applied };
        const seen = stateAt(applied).filter(({ id }) => id === step.id);
        read({
          covers: [step.id],
          seen,
          minPosition: tokenOf(minPosition),
          watermark: tokenOf(applied),
        });
        break;
      }
      case 'snapshot': {
        const asOf = tokenOf(applied);
        snapshots.push({ asOf, seen: stateAt(applied) });
        for (const each of snapshots) read({ covers: 'space', ...each, watermark: asOf });
        break;
      }
      case 'poison':
        deadLetters.add(++sequence);
        history.push({
          kind: 'poison',
          request: ++tick,
          outcome: 'ok',
          sequence,
          begun: tick,
          ended: tick,
        });
        break;
    }
  }
  const listed = stateAt({ high: Infinity, normal: Infinity, low: Infinity });
  const ids = new Set([...log.map(({ id }) => id), ...listed.map(({ id }) => id)]);
  const got = new Map([...ids].map((id) => [id, listed.find((each) => each.id === id)]));
  return {
    history,
    final: { spaces: new Map([['s', { count: listed.length, listed, got }]]), deadLetters },
  };
}
