import { expect, test } from 'vitest';
import fc from 'fast-check';
import { check } from './check.ts';
import { isWrite, type FinalState, type HistoryEvent, type Rule, type Seen } from './event.ts';
import { ledgerOf } from './ledger.ts';
import { runModel, type ModelStep } from './model.ts';

const put = (id: string, version: number, sequence: number, more: object = {}): HistoryEvent => ({
  kind: 'put',
  space: 's',
  id,
  lane: 'normal',
  version,
  request: version,
  outcome: 'ok',
  sequence,
  begun: sequence,
  ended: sequence,
  ...more,
});

const remove = (id: string, sequence: number, more: object = {}): HistoryEvent =>
  put(id, 1_000 + sequence, sequence, { kind: 'delete', lane: 'high', ...more });

const seen = (id: string, version: number, isIntact = true): Seen => ({ id, version, isIntact });

const read = (more: object): HistoryEvent => ({
  kind: 'read',
  space: 's',
  covers: 'space',
  seen: [],
  begun: 100,
  ended: 100,
  ...more,
});

function finally_(listed: readonly Seen[], more: Partial<FinalState> = {}): FinalState {
  const got = new Map(listed.map((each) => [each.id, each]));
  const state = { count: got.size, listed, got };
  return { spaces: new Map([['s', state]]), deadLetters: new Set(), ...more };
}

const poison = (sequence: number): HistoryEvent => ({
  kind: 'poison',
  request: sequence,
  outcome: 'ok',
  sequence,
  begun: 1,
  ended: 1,
});

const rulesOf = (history: readonly HistoryEvent[], final: FinalState): Rule[] => [
  ...new Set(check(history, final).violations.map(({ rule }) => rule)),
];

const GOOD = [put('a', 1, 1), put('a', 2, 2), put('b', 3, 3), remove('b', 4)];
const unknown = { outcome: 'unknown', sequence: undefined };

test('a history in which all went well has no violation', () => {
  expect(rulesOf(GOOD, finally_([seen('a', 2)]))).toEqual([]);
});

const BROKEN: readonly [string, Rule[], readonly HistoryEvent[], FinalState][] = [
  ['an acknowledged observation is gone', ['missing'], GOOD, finally_([])],
  ['a whole space is gone', ['missing'], GOOD, { spaces: new Map(), deadLetters: new Set() }],
  ['an id is listed twice', ['duplicated'], GOOD, finally_([seen('a', 2), seen('a', 2)])],
  ['a version was never written', ['phantom'], GOOD, finally_([seen('a', 2), seen('c', 9)])],
  ['a version is under another id', ['phantom'], GOOD, finally_([seen('a', 2), seen('c', 1)])],
  [
    'a refused observation is there',
    ['refused'],
    [...GOOD, put('c', 9, 9, { outcome: 'rejected', sequence: undefined })],
    finally_([seen('a', 2), seen('c', 9)]),
  ],
  ['an embedding differs', ['altered'], GOOD, finally_([seen('a', 2, false)])],
  ['an overwritten version is there', ['order'], GOOD, finally_([seen('a', 1)])],
  ['a deleted one is back', ['resurrected'], GOOD, finally_([seen('a', 2), seen('b', 3)])],
  [
    'the count differs from what is listed',
    ['count'],
    GOOD,
    finally_([seen('a', 2)], {
      spaces: new Map([['s', { count: 2, listed: [seen('a', 2)], got: new Map() }]]),
    }),
  ],
  [
    'a read by id finds less than the list',
    ['missing'],
    GOOD,
    finally_([seen('a', 2)], {
      spaces: new Map([
        ['s', { count: 1, listed: [seen('a', 2)], got: new Map([['a', undefined]]) }],
      ]),
    }),
  ],
  [
    'a read does not see the write whose position it names',
    ['stale'],
    [...GOOD, read({ covers: ['a'], seen: [seen('a', 1)], minPosition: '7-0.2.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a read shows nothing although it names the position of a write',
    ['stale'],
    [...GOOD, read({ covers: ['a'], minPosition: '7-0.2.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a read shows what was deleted before its position',
    ['stale'],
    [...GOOD, read({ seen: [seen('a', 2), seen('b', 3)], minPosition: '7-4.3.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a snapshot shows something newer',
    ['future', 'snapshot'],
    [...GOOD, read({ seen: [seen('a', 2)], asOf: '7-0.1.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a snapshot has lost what was there at its position',
    ['snapshot'],
    [...GOOD, read({ seen: [], asOf: '7-0.1.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a snapshot changes, be its writes acknowledged or not',
    ['unstable'],
    [
      put('a', 1, 1, unknown),
      read({ seen: [seen('a', 1)], asOf: '7-0.1.0' }),
      read({ seen: [], asOf: '7-0.1.0' }),
    ],
    finally_([]),
  ],
  [
    'an answer lacks what its own watermark covers',
    ['watermark'],
    [...GOOD, read({ seen: [], watermark: '7-0.3.0' })],
    finally_([seen('a', 2)]),
  ],
  [
    'a watermark is before the position that was asked for',
    ['watermark'],
    [...GOOD, read({ covers: [], minPosition: '7-0.2.0', watermark: '7-9.1.9' })],
    finally_([seen('a', 2)]),
  ],
  [
    'an entry that no index can take is no dead letter',
    ['dead-letter'],
    [...GOOD, poison(8)],
    finally_([seen('a', 2)]),
  ],
  [
    'a good entry is a dead letter',
    ['dead-letter'],
    GOOD,
    finally_([seen('a', 2)], { deadLetters: new Set([3]) }),
  ],
  [
    'the log gave a sequence out twice',
    ['sequence-reused'],
    [...GOOD, put('d', 11, 3)],
    finally_([seen('a', 2), seen('d', 11)]),
  ],
];

test.each(BROKEN)('it is found that %s', (_, rules, history, final) => {
  expect(rulesOf(history, final)).toEqual(rules);
});

test('a write without an answer may be in or out, and may have come at any time', () => {
  const history = [put('a', 1, 1), put('a', 2, 2, unknown), put('b', 3, 3, unknown)];
  for (const listed of [[seen('a', 1)], [seen('a', 2)], [seen('a', 1), seen('b', 3)]])
    expect(rulesOf(history, finally_(listed))).toEqual([]);
});

test('a delete without an answer explains an absence, an unknown put does not', () => {
  const deleted = [put('a', 1, 1), remove('a', 2, unknown)];
  expect(rulesOf(deleted, finally_([]))).toEqual([]);
  expect(rulesOf([put('a', 1, 1), put('a', 2, 2, unknown)], finally_([]))).toEqual(['missing']);
});

test('a read cannot show what began after it', () => {
  const early = read({ seen: [seen('a', 1)], begun: 1, ended: 2 });
  const history = [early, put('a', 1, 5, { begun: 3, ended: 4 })];
  expect(rulesOf(history, finally_([seen('a', 1)]))).toEqual(['phantom']);
});

test('what was published twice is one observation, and either of its entries counts', () => {
  const history = [put('a', 1, 1), put('a', 2, 2), put('a', 1, 3, { request: 9 })];
  expect(rulesOf(history, finally_([seen('a', 1)]))).toEqual([]);
  expect(rulesOf(history, finally_([seen('a', 2)]))).toEqual(['order']);
});

const lane = fc.constantFrom('high' as const, 'normal' as const, 'low' as const);
const id = fc.constantFrom('a', 'b', 'c', 'd');
const step: fc.Arbitrary<ModelStep> = fc.oneof(
  fc.record({
    do: fc.constantFrom('put' as const, 'delete' as const),
    id,
    lane,
    outcome: fc.constantFrom('ok' as const, 'rejected' as const, 'lost' as const, 'late' as const),
  }),
  fc.record({ do: fc.constant('apply' as const), lane }),
  fc.record({ do: fc.constant('read' as const) }),
  fc.record({ do: fc.constant('read-own' as const), id }),
  fc.record({ do: fc.constant('snapshot' as const) }),
  fc.record({ do: fc.constant('poison' as const) }),
);

test('whatever a correct cluster does, no violation is found', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const { history, final } = runModel(steps);
      expect(check(history, final).violations).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

test('an observation that is taken out of any correct end is missed', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), fc.nat(), (steps, nth) => {
      const { history, final } = runModel(steps);
      const state = final.spaces.get('s')!;
      const written = history.filter(isWrite);
      const sure = state.listed.filter(
        (each) => !written.some((w) => w.id === each.id && w.outcome === 'unknown'),
      );
      const victim = sure[nth % Math.max(1, sure.length)];
      fc.pre(victim !== undefined);
      const listed = state.listed.filter((each) => each !== victim);
      const spaces = new Map([['s', { ...state, listed, count: listed.length }]]);
      expect(rulesOf(history, { ...final, spaces })).toEqual(['missing']);
      const ledger = ledgerOf(written, [], { ...final, spaces });
      expect(ledger.lost).toBe(1);
    }),
    { numRuns: 200 },
  );
});

test('the ledger has a place for every observation', () => {
  const history = [
    put('a', 1, 1),
    put('a', 2, 2),
    put('b', 3, 3),
    remove('b', 4),
    put('c', 5, 5, unknown),
    put('d', 6, 6, { outcome: 'rejected', sequence: undefined }),
  ];
  const writes = history.filter(isWrite);
  const final = finally_([seen('a', 2)], { deadLetters: new Set([8]) });
  expect(ledgerOf(writes, [{ outcome: 'ok', sequence: 8 }], final)).toEqual({
    produced: 6,
    searchable: 1,
    overwritten: 1,
    deleted: 1,
    rejected: 1,
    deadLettered: 1,
    unknown: 1,
    lost: 0,
    duplicated: 0,
    deletes: 1,
  });
});
