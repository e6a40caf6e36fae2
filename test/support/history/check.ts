// Proves from what clients saw that nothing was lost, doubled or taken back, or says where it was.
//
//   H1. What decides is the log's order, by sequence over all lanes; clocks and ticks never do, but for
//       one thing: nothing can be seen before its writing began.
//   H2. An unknown write explains whatever it can explain, and never has to be there.
//   H3. Writes are indexed first; reads are then looked at one by one and forgotten.

import {
  isWrite,
  RULES,
  type FinalSpace,
  type FinalState,
  type HistoryEvent,
  type PoisonEvent,
  type ReadEvent,
  type Rule,
  type Seen,
  type Violation,
} from './event.ts';
import { faultOfAbsence, faultOfSeen, type Demand, type Fault } from './judge.ts';
import { Snapshots } from './snapshots.ts';
import { boundOf, covers, EVERYTHING, WriteIndex } from './write-index.ts';

export interface Verdict {
  readonly violations: readonly Violation[];
  /** More were found than are listed. */
  readonly violationCount: number;
  readonly readsChecked: number;
}

/** As many as somebody would read. */
const LISTED_MAX = 100;
/** A space of which nothing is there. */
const NOTHING: FinalSpace = { count: 0, listed: [], got: new Map() };

/** Looks at the events twice when there are reads: they must be iterable again. */
export function check(history: Iterable<HistoryEvent>, final: FinalState): Verdict {
  const violations: Violation[] = [];
  let violationCount = 0;
  const report = (where: string, { rule, detail }: Fault): void => {
    violationCount++;
    if (violations.length < LISTED_MAX)
      violations.push({ rule, detail: `${where}: ${detail} (${RULES[rule]})` });
  };
  const index = new WriteIndex(ofKind(history, isWrite));
  for (const fault of reusedSequences(history)) report('log', fault);
  for (const space of new Set([...index.spaces(), ...final.spaces.keys()]))
    for (const [id, fault] of faultsOfFinal(index, space, final.spaces.get(space) ?? NOTHING))
      report(`${space}/${id}`, fault);
  for (const fault of faultsOfDeadLetters(ofKind(history, isPoison), final.deadLetters))
    report('dead letters', fault);
  const snapshots = new Snapshots(index);
  let readsChecked = 0;
  for (const read of ofKind(history, isRead)) {
    readsChecked++;
    for (const fault of faultsOfRead(index, snapshots, read))
      report(`${read.space}, read ${read.begun}`, fault);
  }
  return { violations, violationCount, readsChecked };
}

const isPoison = (event: HistoryEvent): event is PoisonEvent => event.kind === 'poison';
const isRead = (event: HistoryEvent): event is ReadEvent => event.kind === 'read';

function* ofKind<E extends HistoryEvent>(
  history: Iterable<HistoryEvent>,
  is: (event: HistoryEvent) => event is E,
): Generator<E> {
  for (const event of history) if (is(event)) yield event;
}

/** A log that lost its end gives sequences out again. */
function* reusedSequences(history: Iterable<HistoryEvent>): Generator<Fault> {
  const owners = new Map<number, number>();
  for (const event of history) {
    if (event.kind === 'read' || event.sequence === undefined || event.outcome !== 'ok') continue;
    const owner = owners.get(event.sequence);
    if (owner === undefined) owners.set(event.sequence, event.request);
    else if (owner !== event.request)
      yield {
        rule: 'sequence-reused',
        detail: `sequence ${event.sequence} for the requests ${owner} and ${event.request}`,
      };
  }
}

function* faultsOfFinal(
  index: WriteIndex,
  space: string,
  { count, listed, got }: FinalSpace,
): Generator<[string, Fault]> {
  const demand: Demand = { atLeast: EVERYTHING, rule: 'final', ended: Infinity };
  yield* faultsOfView(index, space, listed, [...index.ids(space).keys()], demand);
  for (const [id, seen] of got) {
    const fault =
      seen === undefined
        ? faultOfAbsence(index, space, id, demand)
        : faultOfSeen(index, space, seen, demand);
    if (fault !== undefined) yield [`${id} (read by its id)`, fault];
  }
  const ids = new Set(listed.map(({ id }) => id)).size;
  if (count !== ids)
    yield ['*', { rule: 'count', detail: `counted ${count}, listed ${ids} different ones` }];
}

/** Of what was seen, and of what should have been among it. */
function* faultsOfView(
  index: WriteIndex,
  space: string,
  seen: readonly Seen[],
  covered: readonly string[],
  demand: Demand,
): Generator<[string, Fault]> {
  const ids = new Set<string>();
  for (const each of seen) {
    if (ids.has(each.id)) yield [each.id, { rule: 'duplicated', detail: 'it is there twice' }];
    ids.add(each.id);
    const fault = faultOfSeen(index, space, each, demand);
    if (fault !== undefined) yield [each.id, fault];
  }
  for (const id of covered) {
    if (ids.has(id)) continue;
    const fault = faultOfAbsence(index, space, id, demand);
    if (fault !== undefined) yield [id, fault];
  }
}

function* faultsOfDeadLetters(
  poisons: Iterable<PoisonEvent>,
  deadLetters: ReadonlySet<number>,
): Generator<Fault> {
  const expected = new Set<number>();
  let unknown = 0;
  for (const { outcome, sequence } of poisons)
    if (outcome === 'unknown') unknown++;
    else if (outcome === 'ok' && sequence !== undefined) expected.add(sequence);
  for (const sequence of expected)
    if (!deadLetters.has(sequence))
      yield { rule: 'dead-letter', detail: `entry ${sequence} is none` };
  const surplus = [...deadLetters].filter((sequence) => !expected.has(sequence));
  if (surplus.length > unknown)
    yield {
      rule: 'dead-letter',
      detail: `${surplus.length} for ${unknown} entries of unknown outcome: ${surplus.slice(0, 5).join(', ')}`,
    };
}

function* faultsOfRead(index: WriteIndex, snapshots: Snapshots, read: ReadEvent): Generator<Fault> {
  const { space, seen, minPosition, asOf, watermark, ended } = read;
  const told = ([id, { rule, detail }]: [string, Fault]): Fault => ({
    rule,
    detail: `${id}: ${detail}`,
  });
  const covered = read.covers === 'space' ? [...index.ids(space).keys()] : read.covers;
  const nothing = { high: 0, normal: 0, low: 0 };
  const demand = (rule: 'stale' | 'watermark', position: string | undefined): Demand => ({
    atLeast: position === undefined ? nothing : boundOf(position),
    rule,
    ended,
  });
  if (asOf !== undefined) {
    // Old on purpose: that it exists and is whole is all that can be asked without the position.
    for (const fault of faultsOfView(index, space, seen, [], demand('stale', undefined)))
      yield told(fault);
    yield* snapshots.check(read, asOf);
  } else {
    const faults = new Map<string, Fault>();
    for (const each of [demand('watermark', watermark), demand('stale', minPosition)])
      for (const [id, fault] of faultsOfView(index, space, seen, covered, each))
        faults.set(id, fault);
    for (const entry of faults) yield told(entry);
  }
  for (const [name, position] of Object.entries({ minPosition, asOf }))
    if (position !== undefined && watermark !== undefined)
      if (!covers(boundOf(watermark), boundOf(position)))
        yield {
          rule: 'watermark' satisfies Rule,
          detail: `${watermark} is before the ${name} ${position}`,
        };
}
