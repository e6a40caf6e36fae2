import { join } from 'node:path';
import { LANES, type Metric } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import { UNHURRIED } from '../src/pace.ts';
import { buildSegment, type BuildJob } from '../src/segment-build.ts';
import { configOf, filterOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';
import { checkpoint, rest } from './spaces.ts';

const IDS = Array.from({ length: 12 }, (_, i) => `id-${i}`);

interface Write {
  readonly puts: readonly { readonly id: string; readonly x: number; readonly y: number }[];
  readonly deletes: readonly string[];
  readonly lane: number;
}

const component = fc.integer({ min: -20, max: 20 }).filter((value) => value !== 0);
const put = fc.record({ id: fc.constantFrom(...IDS), x: component, y: component });
const write: fc.Arbitrary<Write> = fc.record({
  puts: fc.uniqueArray(put, { selector: ({ id }) => id, maxLength: 5 }),
  deletes: fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 3 }),
  lane: fc.nat({ max: 2 }),
});

/** What can happen to a space between two looks at it. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ deliver: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ checkpointBeside: fc.array(fc.nat(), { maxLength: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ build: fc.integer({ min: 1, max: 8 }) }) },
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      'seal' as const,
      'give work' as const,
      'give a merge' as const,
      'do the work' as const,
      'abandon the work' as const,
      'tick' as const,
      'unload and open' as const,
      'crash and replay' as const,
    ),
  },
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

class Subject {
  readonly #writes: readonly Write[];
  readonly #metric: Metric;
  readonly #folder: string;
  #space: OpenSpace;
  #jobs: BuildJob[] = [];
  #nowMs = 0;
  readonly arrived = new Set<number>();

  constructor(writes: readonly Write[], metric: Metric, folder: string) {
    this.#writes = writes;
    this.#metric = metric;
    this.#folder = folder;
    this.#space = emptySpace(this.config, this.options);
  }

  get config() {
    return configOf({ dimension: 2, metric: this.#metric });
  }

  get options() {
    // Five rows fill a segment, and four make a graph.
    return optionsOf(this.#folder, {
      graphThreshold: 4,
      segmentBytesMax: 300,
      mergedBytesMax: 3_000,
      snapshotKeepMs: 0,
    });
  }

  get engine() {
    return this.#space.engine;
  }

  deliver(index: number): void {
    const { puts, deletes, lane } = this.#writes[index]!;
    const frame = frameOf(
      puts.map(({ id, x, y }) => ({ id, embedding: [x, y], metadata: { x } })),
      deletes,
    );
    const { applied, stale, errors } = this.engine.apply(frame, index + 1, LANES[lane]!);
    expect(errors).toEqual([]);
    expect(applied + stale).toBe(puts.length + deletes.length);
    this.arrived.add(index);
    this.#space.upkeep.roll();
  }

  async take(each: typeof step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    const { upkeep } = this.#space;
    if (typeof each !== 'string') {
      if ('deliver' in each) return this.deliver(each.deliver % this.#writes.length);
      if ('checkpointBeside' in each) {
        const written = checkpoint(this.#space);
        for (const index of each.checkpointBeside) {
          await new Promise(setImmediate);
          this.deliver(index % this.#writes.length);
        }
        expect(await written).toBeDefined();
        return this.take('crash and replay');
      }
      let left = each.build;
      upkeep.buildGraph(() => --left <= 0);
      return;
    }
    switch (each) {
      case 'seal':
        await upkeep.tend();
        return;
      case 'give work':
      case 'give a merge': {
        const job = each === 'give work' ? await upkeep.giveWork(1) : upkeep.giveMerge();
        if (job !== undefined) this.#jobs.push(job);
        return;
      }
      case 'do the work': {
        const job = this.#jobs.pop();
        if (job !== undefined) await upkeep.finish(await buildSegment(job, UNHURRIED));
        return;
      }
      case 'abandon the work': {
        const job = this.#jobs.shift();
        if (job !== undefined) upkeep.abandon(job.id);
        return;
      }
      case 'tick':
        upkeep.tick((this.#nowMs += 1_000), false);
        return;
      case 'unload and open':
        if (await upkeep.unload()) await this.#open();
        return;
      case 'crash and replay':
        this.engine.segments.close();
        await this.#open();
        for (const index of [...this.arrived].toReversed())
          if (index + 1 > this.engine.completeTo) this.deliver(index);
        return;
    }
  }

  async finish(): Promise<void> {
    const { upkeep } = this.#space;
    for (const job of this.#jobs.splice(0)) await upkeep.finish(await buildSegment(job, UNHURRIED));
    rest(this.#space);
    while (upkeep.buildGraph(() => false)) continue;
    while (await upkeep.tend()) continue;
    expect(upkeep.isIndexed).toBe(true);
  }

  async #open(): Promise<void> {
    this.#jobs = [];
    this.#space = await openSpace(this.config, this.options);
    expect(this.#space.isDamaged).toBe(false);
  }

  async check(query: { readonly x: number; readonly y: number }): Promise<void> {
    const { engine } = this;
    const kept = model(this.#writes, this.arrived);
    expect(engine.stats.count).toBe(kept.size);
    for (const id of IDS) {
      const found = engine.get(id);
      expect(
        found && { sequence: found.sequence, x: found.embedding[0], y: found.embedding[1] },
      ).toEqual(kept.get(id));
    }
    const embedding = Float32Array.of(query.x, query.y);
    const scoreOf = ({ x, y }: Kept) =>
      this.#metric === 'l2'
        ? Math.hypot(x - query.x, y - query.y)
        : (x * query.x + y * query.y) /
          (this.#metric === 'ip' ? 1 : Math.hypot(x, y) * Math.hypot(query.x, query.y));
    const hits = await engine.recall({ embedding, k: IDS.length + 1 });
    expect(hits.map(({ id }) => id).sort()).toEqual([...kept.keys()].sort());
    for (const { id, score } of hits) expect(score).toBeCloseTo(scoreOf(kept.get(id)!), 5);
    const order = hits.map(({ score }) => (this.#metric === 'l2' ? -score : score));
    expect(order).toEqual(order.toSorted((a, b) => b - a));
    const positive = [...kept].filter(([, { x }]) => x > 0).map(([id]) => id);
    const some = await engine.recall({ embedding, k: 3, filter: filterOf({ x: { $gt: 0 } }) });
    expect(some).toHaveLength(Math.min(3, positive.length));
    expect(positive).toEqual(expect.arrayContaining(some.map(({ id }) => id)));
  }
}

for (const metric of ['l2', 'ip', 'cosine'] as const)
  test(`the highest sequence wins in whatever order entries come, however often, beside building, sealing, stealing, merging, restarts and crashes (${metric})`, async () => {
    const folder = scratchFolder();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { minLength: 1, maxLength: 25, size: 'max' }),
        fc.array(step, { maxLength: 60, size: 'max' }),
        fc.record({ x: component, y: component }),
        async (writes, steps, query) => {
          const subject = new Subject(writes, metric, join(folder, String(run++)));
          for (const each of steps) {
            await subject.take(each);
            await subject.check(query);
          }
          for (let index = writes.length - 1; index >= 0; index--) subject.deliver(index);
          await subject.check(query);
          await subject.finish();
          await subject.check(query);
          subject.engine.segments.close();
        },
      ),
      { numRuns: 60 },
    );
  });
