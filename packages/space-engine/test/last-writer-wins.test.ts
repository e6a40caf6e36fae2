import { compileFilter } from '@engram/model';
import { GRAPH_ENGINES } from '@engram/vector-index';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SpaceEngine } from '../src/space-engine.ts';
import { configOf, frameOf } from './frames.ts';

const IDS = Array.from({ length: 12 }, (_, i) => `id-${i}`);

interface Write {
  readonly puts: readonly { readonly id: string; readonly x: number; readonly y: number }[];
  readonly deletes: readonly string[];
}

const component = fc.integer({ min: -20, max: 20 }).filter((value) => value !== 0);
const put = fc.record({ id: fc.constantFrom(...IDS), x: component, y: component });
const write: fc.Arbitrary<Write> = fc.record({
  puts: fc.uniqueArray(put, { selector: ({ id }) => id, maxLength: 5 }),
  deletes: fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 3 }),
});

/** An entry comes (again), in any order, or a slice of the graph is built. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ deliver: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ build: fc.integer({ min: 1, max: 8 }) }) },
);

interface Kept {
  readonly sequence: number;
  readonly x: number;
  readonly y: number;
}

/** What the writes amount to, one id at a time: the highest sequence has the last word. */
function model(writes: readonly Write[], arrived: ReadonlySet<number>): Map<string, Kept> {
  const kept = new Map<string, Kept>();
  writes.forEach(({ puts, deletes }, index) => {
    if (!arrived.has(index)) return;
    for (const { id, x, y } of puts) kept.set(id, { sequence: index + 1, x, y });
    for (const id of deletes) kept.delete(id);
  });
  return kept;
}

for (const metric of ['l2', 'ip', 'cosine'] as const)
  test(`the highest sequence wins in whatever order entries come, however often, beside building and compaction (${metric})`, () => {
    fc.assert(
      fc.property(
        fc.array(write, { minLength: 1, maxLength: 25, size: 'max' }),
        fc.array(step, { maxLength: 60, size: 'max' }),
        component,
        component,
        (writes, steps, qx, qy) => {
          const engine = new SpaceEngine(
            configOf({ dimension: 2, metric }),
            GRAPH_ENGINES.hnswlib,
            { graphRowsMin: 4, compactionDeadMin: 5 },
          );
          const arrived = new Set<number>();
          const deliver = (index: number) => {
            const { puts, deletes } = writes[index]!;
            const frame = frameOf(
              puts.map(({ id, x, y }) => ({ id, embedding: [x, y], metadata: { x } })),
              deletes,
            );
            const { applied, stale, errors } = engine.apply(frame, index + 1);
            expect(applied + stale + errors.length).toBe(puts.length + deletes.length);
            // An entry that comes again finds its own rows; only that may be reported.
            expect(errors.every(({ code }) => code === 'DUPLICATE_ID')).toBe(true);
            if (!arrived.has(index)) expect(errors).toEqual([]);
            arrived.add(index);
          };
          const check = () => {
            const kept = model(writes, arrived);
            for (const id of IDS) {
              const found = engine.get(id);
              expect(
                found && { sequence: found.sequence, x: found.embedding[0], y: found.embedding[1] },
              ).toEqual(kept.get(id));
            }
            const embedding = Float32Array.of(qx, qy);
            const scoreOf = ({ x, y }: Kept) =>
              metric === 'l2'
                ? Math.hypot(x - qx, y - qy)
                : (x * qx + y * qy) / (metric === 'ip' ? 1 : Math.hypot(x, y) * Math.hypot(qx, qy));
            const hits = engine.recall({ embedding, k: IDS.length + 1 });
            expect(hits.map(({ id }) => id).sort()).toEqual([...kept.keys()].sort());
            for (const { id, score } of hits) expect(score).toBeCloseTo(scoreOf(kept.get(id)!), 5);
            const order = hits.map(({ score }) => (metric === 'l2' ? -score : score));
            expect(order).toEqual(order.toSorted((a, b) => b - a));
            const positive = [...kept].filter(([, { x }]) => x > 0).map(([id]) => id);
            const filter = compileFilter({ x: { $gt: 0 } });
            const some = engine.recall({ embedding, k: 3, filter }).map(({ id }) => id);
            expect(some).toHaveLength(Math.min(3, positive.length));
            expect(positive).toEqual(expect.arrayContaining(some));
            expect(engine.stats.count).toBe(kept.size);
          };
          for (const each of steps) {
            if ('deliver' in each) deliver(each.deliver % writes.length);
            else {
              let left = each.build;
              engine.buildGraph(() => --left <= 0);
            }
            check();
          }
          for (let index = writes.length - 1; index >= 0; index--) deliver(index);
          while (engine.buildGraph(() => true)) continue;
          expect(engine.isIndexed).toBe(true);
          check();
        },
      ),
      { numRuns: 40 },
    );
  });
