import { encodeFrame } from '@engram/codec';
import { LANES, parseSpaceId, type Lane, type SpaceConfig } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { outcomeOf, SpaceFold, type FoldedEntry } from '../src/verify/fold.ts';
import { EVERYTHING, isIn, type Slice } from '../src/verify/slice.ts';

const CONFIG: SpaceConfig = {
  space: parseSpaceId('docs'),
  dimension: 2,
  metric: 'cosine',
  engine: 'usearch',
  quantization: 'i8',
  m: 16,
  efConstruction: 64,
  afterSequence: 5,
  createdAt: '2026-01-01T00:00:00.000Z',
};
const FRAME = 'application/vnd.engram.frame';

interface Item {
  readonly id: string;
  readonly isGood: boolean;
}

/** An entry by what it means; the model never looks at its bytes. */
interface Meant {
  readonly lane: Lane;
  readonly items: readonly Item[];
  readonly deletes: readonly string[];
  readonly form: 'frame' | 'json' | 'ndjson' | 'garbage' | 'wrong dimension';
}

const id = fc.constantFrom('a', 'b', 'c', 'd', 'ä', '日本', 'x y');
const meant: fc.Arbitrary<Meant> = fc.record({
  lane: fc.constantFrom(...LANES),
  items: fc.array(fc.record({ id, isGood: fc.boolean() }), { maxLength: 5 }),
  deletes: fc.array(id, { maxLength: 2 }),
  form: fc.constantFrom('frame', 'frame', 'json', 'ndjson', 'garbage', 'wrong dimension'),
});

function frameOf({ items, deletes }: Meant, dimension = 2): Uint8Array {
  const embeddings = new Float32Array(items.length * dimension).fill(1);
  items.forEach(({ isGood }, index) => {
    if (!isGood) embeddings[index * dimension] = NaN;
  });
  return encodeFrame({
    dimension,
    ids: items.map((item) => item.id),
    deletes,
    embeddings,
    timestamps: [],
    metadata: items.map(() => undefined),
  });
}

function entryOf(each: Meant, sequence: number): FoldedEntry {
  const { lane, form, items } = each;
  const observations = items.map((item) => ({
    id: item.id,
    embedding: item.isGood ? [1, 2] : [1],
  }));
  const text = (value: string) => new TextEncoder().encode(value);
  const lines = observations.map((value) => JSON.stringify(value)).join('\n');
  const forms = {
    frame: [FRAME, frameOf(each)],
    json: ['application/json', text(JSON.stringify({ observations }))],
    ndjson: ['application/x-ndjson', text(lines)],
    garbage: [undefined, text('{')],
    'wrong dimension': [FRAME, frameOf(each, 3)],
  } as const;
  const [contentType, bytes] = forms[form];
  return { sequence, lane, contentType, bytes };
}

/** For each id the entry with the highest sequence that says something of it, in any order of entries. */
function model(log: readonly { readonly each: Meant; readonly sequence: number }[]) {
  const last = new Map<string, { sequence: number; isAlive: boolean }>();
  const say = (name: string, sequence: number, isAlive: boolean) => {
    if ((last.get(name)?.sequence ?? 0) <= sequence) last.set(name, { sequence, isAlive });
  };
  for (const { each, sequence } of log) {
    if (sequence <= CONFIG.afterSequence || each.form === 'garbage') continue;
    if (each.form !== 'wrong dimension')
      for (const item of each.items) if (item.isGood) say(item.id, sequence, true);
    if (each.form === 'frame' || each.form === 'wrong dimension')
      for (const name of each.deletes) say(name, sequence, false);
  }
  return new Map(
    [...last].filter(([, { isAlive }]) => isAlive).map(([name, { sequence }]) => [name, sequence]),
  );
}

const log = fc
  .array(fc.tuple(meant, fc.integer({ min: 1, max: 3 })), { maxLength: 30 })
  .map((entries) => {
    let sequence = 0;
    return entries.map(([each, step]) => ({ each, sequence: (sequence += step) }));
  });

function folded(entries: readonly { each: Meant; sequence: number }[], max: number, slice: Slice) {
  const fold = new SpaceFold(CONFIG, max, slice);
  for (const { each, sequence } of entries) fold.add(entryOf(each, sequence));
  return fold;
}

test('the fold of any log in three lanes is what a simple model says', () => {
  fc.assert(
    fc.property(log, fc.integer(), (entries, seed) => {
      const fold = folded(entries, Infinity, EVERYTHING);
      // The model is asked in another order, as lanes overtake each other.
      const shuffled = [...entries].sort(
        (left, right) => ((left.sequence * seed) % 7) - ((right.sequence * seed) % 7),
      );
      expect(new Map(fold.ids)).toEqual(model(shuffled));
      for (const lane of LANES) {
        const own = entries.filter((entry) => entry.each.lane === lane && entry.sequence > 5);
        expect(fold.sequences[lane]).toBe(own.at(-1)?.sequence ?? 0);
      }
    }),
  );
});

test('a fold that becomes too large halves itself, and the parts together are the whole', () => {
  fc.assert(
    fc.property(log, fc.integer({ min: 1, max: 4 }), (entries, max) => {
      const together = new Map<string, number>();
      const left: Slice[] = [EVERYTHING];
      for (let slice = left.pop(); slice !== undefined; slice = left.pop()) {
        const fold = folded(entries, max, slice);
        expect(fold.ids.size).toBeLessThanOrEqual(max);
        for (const [name, sequence] of fold.ids) {
          expect(isIn(fold.slice, name)).toBe(true);
          expect(together.has(name)).toBe(false);
          together.set(name, sequence);
        }
        left.push(...fold.rest);
      }
      expect(together).toEqual(model(entries));
    }),
  );
});

test('of an id that stands twice in an entry the first counts and the second is refused', () => {
  const items = [
    { id: 'a', isGood: false },
    { id: 'a', isGood: true },
    { id: 'a', isGood: true },
    { id: 'b', isGood: true },
  ];
  for (const form of ['frame', 'json', 'ndjson'] as const) {
    const entry = entryOf({ lane: 'low', items, deletes: [], form }, 9);
    const { puts, rejected } = outcomeOf(entry, CONFIG);
    expect([[...puts], rejected]).toEqual([['a', 'b'], 2]);
  }
});

test('deletes of an entry come after its puts', () => {
  const items = [{ id: 'a', isGood: true }];
  const fold = folded(
    [{ each: { lane: 'low', items, deletes: ['a'], form: 'frame' }, sequence: 9 }],
    Infinity,
    EVERYTHING,
  );
  expect([fold.ids.size, fold.entries, fold.rejected]).toEqual([0, 1, 0]);
});

test('what the codec refuses counts as rejected, and nothing else of its entry', () => {
  const bytes = encodeFrame({
    dimension: 2,
    ids: ['', 'line\nbreak', 'zero', 'meta', 'time', 'good'],
    deletes: [],
    embeddings: Float32Array.of(1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1),
    timestamps: [NaN, NaN, NaN, NaN, 1e300, 5],
    metadata: [undefined, undefined, undefined, '[1]', undefined, '{"a":1}'],
  });
  const { puts, rejected } = outcomeOf({ contentType: FRAME, bytes }, CONFIG);
  expect([[...puts], rejected]).toEqual([['good'], 5]);
  const unknown = outcomeOf({ contentType: 'text/csv', bytes }, CONFIG);
  expect([unknown.puts.size, unknown.rejected]).toEqual([0, 1]);
  // An id that is no UTF-8 is refused, and a delete of one is of nothing.
  const broken = Uint8Array.from(bytes);
  broken[broken.length - '{"a":1}[1]'.length - 1] = 0xff;
  expect(outcomeOf({ contentType: FRAME, bytes: broken }, CONFIG).puts.size).toBe(0);
});
