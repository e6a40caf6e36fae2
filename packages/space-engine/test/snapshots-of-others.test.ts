// Snapshots that another life or another replica gave, for which the lanes came in another order.

import { LANES, perLane, type Lane } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openSpace } from '../src/open-space.ts';
import type { Snapshot } from '../src/stamp.ts';
import { configOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { ids, spaceOf } from './spaces.ts';

const IDS = ['a', 'b', 'c', 'd', 'e'];
const QUERY = Float32Array.of(0);

interface Entry {
  readonly lane: Lane;
  readonly puts: readonly string[];
  readonly deletes: readonly string[];
}

const entry: fc.Arbitrary<Entry> = fc.record({
  lane: fc.constantFrom(...LANES),
  puts: fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 2 }),
  deletes: fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 2 }),
});

/** What a snapshot sees, id by id with its sequence: of each id the last that it has. */
function seenBy(log: readonly Entry[], asOf: Snapshot): object {
  const seen = new Map<string, number>();
  for (const [i, { lane, puts, deletes }] of log.entries()) {
    if (i + 1 > asOf[lane]) continue;
    for (const id of puts) seen.set(id, i + 1);
    for (const id of deletes) seen.delete(id);
  }
  return Object.fromEntries(seen);
}

/** Of each point of the log in its order. */
function prefixes(log: readonly Entry[]): Snapshot[] {
  let asOf: Snapshot = perLane(() => 0);
  return log.map(({ lane }, i) => (asOf = { ...asOf, [lane]: i + 1 }));
}

const frame = ({ puts, deletes }: Entry) =>
  frameOf(
    puts.map((id) => ({ id, embedding: [1] })),
    deletes,
  );

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...LANES) },
  { weight: 2, arbitrary: fc.constant('complete' as const) },
  { weight: 1, arbitrary: fc.constant('reopen' as const) },
);

const counts = fc.record({ high: fc.nat(25), normal: fc.nat(25), low: fc.nat(25) });

test('a snapshot is right or refused, in whatever order the lanes were and are applied (E4)', async () => {
  let [kept, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 25 }),
      fc.array(step, { maxLength: 30 }),
      fc.array(counts, { maxLength: 25 }),
      fc.boolean(),
      async (log, steps, others, isInOrder) => {
        const options = optionsOf(scratchFolder(), { snapshotKeepMs: 60_000 });
        const config = configOf({ dimension: 1, metric: 'l2' });
        let space = await openSpace(config, options);
        const waiting = log.map((each, i) => ({ ...each, sequence: i + 1 }));
        const takeFirst = (lane?: Lane): void => {
          const at = lane === undefined ? 0 : waiting.findIndex((each) => each.lane === lane);
          for (const each of at < 0 ? [] : waiting.splice(at, 1))
            space.engine.apply(frame(each), each.sequence, each.lane);
        };
        for (const each of steps)
          if (each === 'complete') space.engine.complete((waiting[0]?.sequence ?? 1) - 1);
          else if (each === 'reopen') {
            await space.upkeep.unload();
            space = await openSpace(config, options);
          } else takeFirst(isInOrder ? undefined : each);
        while (waiting.length > 0) takeFirst();
        const inOrder = prefixes(log);
        const last = inOrder.at(-1)!;
        const given = others.map((count) =>
          perLane((lane) => {
            const its = log.flatMap((each, i) => (each.lane === lane ? [i + 1] : []));
            return [0, ...its][Math.min(count[lane], its.length)]!;
          }),
        );
        for (const asOf of [...inOrder, ...given]) {
          try {
            const hits = await space.engine.recall({ embedding: QUERY, k: 9, asOf });
            const found = hits.map(({ id, sequence }) => [id, sequence] as const);
            expect(found).toHaveLength(new Set(found.map(([id]) => id)).size);
            expect(Object.fromEntries(found)).toEqual(seenBy(log, asOf));
            kept++;
          } catch (error) {
            expect(error).toMatchObject({ code: 'POSITION_EXPIRED' });
            expect(asOf).not.toEqual(last);
            // What was applied in the order of the log refuses no point of it.
            if (isInOrder) expect(inOrder).not.toContainEqual(asOf);
            refused++;
          }
        }
        space.engine.segments.close();
      },
    ),
    { numRuns: 300 },
  );
  expect(kept).toBeGreaterThan(refused);
  expect(refused).toBeGreaterThan(100);
});

test.each(['put', 'deleted'])(
  'an observation that was overwritten and then %s by another lane is not seen with the last of them alone',
  async (last) => {
    const { engine } = spaceOf({ dimension: 1, metric: 'l2' }, { snapshotKeepMs: 60_000 });
    const one = [{ id: 'a', embedding: [1] }];
    const ask = async (asOf: Snapshot) =>
      ids(await engine.recall({ embedding: QUERY, k: 9, asOf }));
    engine.apply(frameOf(one), 1, 'normal');
    engine.apply(frameOf(one), 2, 'normal');
    engine.apply(last === 'put' ? frameOf(one) : frameOf([], ['a']), 3, 'high');
    expect(await ask(lanes(1, 0))).toEqual(['a']);
    expect(await ask(lanes(2, 0))).toEqual(['a']);
    expect(await ask(lanes(2, 3))).toEqual(last === 'put' ? ['a'] : []);
    await expect(ask(lanes(1, 3))).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
  },
);

const lanes = (normal: number, high: number): Snapshot => ({ high, normal, low: 0 });

test.each(['a put', 'a delete'])(
  '%s that came late costs only the snapshots that have it without what overtook it',
  async (kind) => {
    const { engine } = spaceOf({ dimension: 1, metric: 'l2' }, { snapshotKeepMs: 60_000 });
    const one = [{ id: 'a', embedding: [1] }];
    const ask = async (asOf: Snapshot) =>
      ids(await engine.recall({ embedding: QUERY, k: 9, asOf }));
    engine.apply(frameOf(one), 1, 'normal');
    engine.apply(frameOf(one), 3, 'high');
    engine.apply(kind === 'a put' ? frameOf(one) : frameOf([], ['a']), 2, 'normal');
    engine.apply(frameOf(one), 4, 'normal');
    expect(await ask(lanes(1, 0))).toEqual(['a']);
    expect(await ask(lanes(1, 3))).toEqual(['a']);
    expect(await ask(lanes(2, 3))).toEqual(['a']);
    expect(await ask(lanes(4, 3))).toEqual(['a']);
    for (const normal of [2, 4])
      await expect(ask(lanes(normal, 0))).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
    // A list of ids is for who looks again at what differs.
    for await (const page of engine.idPages(lanes(2, 0), 4_096)) expect(page).toHaveLength(1);
  },
);

test('of a thousand entries that came late none is forgotten', () => {
  const { engine } = spaceOf({ dimension: 1, metric: 'l2' }, { snapshotKeepMs: 60_000 });
  const pairs = Array.from({ length: 1_000 }, (_, i) => i);
  const put = (i: number) => frameOf([{ id: `id ${i}`, embedding: [i] }]);
  for (const i of pairs) {
    engine.apply(put(i), i * 2 + 2, 'high');
    engine.apply(put(i), i * 2 + 1, 'normal');
  }
  const { retention } = engine;
  expect(pairs.filter((i) => retention.isWhole(lanes(i * 2 + 1, i * 2)))).toEqual([]);
  // Of the younger ones those between are kept.
  const young = pairs.slice(-200);
  expect(young.filter((i) => !retention.isWhole(lanes(i * 2, i * 2)))).toEqual([]);
  expect(retention.isWhole(lanes(1_999, 2_000))).toBe(true);
});

test('a delete that is known no longer is remembered when the space was put away', async () => {
  const options = optionsOf(scratchFolder(), { snapshotKeepMs: 60_000 });
  const config = configOf({ dimension: 1, metric: 'l2' });
  const one = [{ id: 'a', embedding: [1] }];
  const before = await openSpace(config, options);
  before.engine.apply(frameOf(one), 1, 'normal');
  before.engine.apply(frameOf([], ['a']), 2, 'normal');
  before.engine.complete(2);
  await before.upkeep.unload();
  const { engine } = await openSpace(config, options);
  engine.apply(frameOf(one), 3, 'high');
  const ask = async (asOf: Snapshot) => ids(await engine.recall({ embedding: QUERY, k: 9, asOf }));
  expect(await ask(lanes(1, 0))).toEqual(['a']);
  expect(await ask(lanes(2, 0))).toEqual([]);
  expect(await ask(lanes(2, 3))).toEqual(['a']);
  await expect(ask(lanes(1, 3))).rejects.toMatchObject({ code: 'POSITION_EXPIRED' });
  engine.segments.close();
});
