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

/** What is seen at each point of the log, id by id with its sequence. */
function history(log: readonly Entry[]): { readonly asOf: Snapshot; readonly seen: object }[] {
  let asOf: Snapshot = perLane(() => 0);
  const seen = new Map<string, number>();
  return log.map(({ lane, puts, deletes }, i) => {
    for (const id of puts) seen.set(id, i + 1);
    for (const id of deletes) seen.delete(id);
    asOf = { ...asOf, [lane]: i + 1 };
    return { asOf, seen: Object.fromEntries(seen) };
  });
}

const frame = ({ puts, deletes }: Entry) =>
  frameOf(
    puts.map((id) => ({ id, embedding: [1] })),
    deletes,
  );

test('a snapshot is right or refused where the lanes were applied in another order (E4)', async () => {
  let [kept, refused] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 25 }),
      fc.array(fc.constantFrom(...LANES), { maxLength: 25 }),
      fc.boolean(),
      async (log, order, isReopened) => {
        const options = optionsOf(scratchFolder(), { snapshotKeepMs: 60_000 });
        const config = configOf({ dimension: 1, metric: 'l2' });
        let space = await openSpace(config, options);
        const waiting = log.map((each, i) => ({ ...each, sequence: i + 1 }));
        const takeFirst = (lane?: Lane): void => {
          const at = lane === undefined ? 0 : waiting.findIndex((each) => each.lane === lane);
          for (const each of at < 0 ? [] : waiting.splice(at, 1))
            space.engine.apply(frame(each), each.sequence, each.lane);
        };
        for (const lane of order) takeFirst(lane);
        while (waiting.length > 0) takeFirst();
        if (isReopened) {
          await space.upkeep.unload();
          space = await openSpace(config, options);
        }
        const all = history(log);
        for (const { asOf, seen } of all) {
          try {
            const hits = await space.engine.recall({ embedding: QUERY, k: 9, asOf });
            expect(Object.fromEntries(hits.map(({ id, sequence }) => [id, sequence]))).toEqual(
              seen,
            );
            kept++;
          } catch (error) {
            expect(error).toMatchObject({ code: 'POSITION_EXPIRED' });
            expect(asOf).not.toEqual(all.at(-1)!.asOf);
            refused++;
          }
        }
        space.engine.segments.close();
      },
    ),
    { numRuns: 100 },
  );
  expect(kept).toBeGreaterThan(refused);
  expect(refused).toBeGreaterThan(10);
});

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
