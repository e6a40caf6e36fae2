import { join } from 'node:path';
import { LANES, perLane, type Lane } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { emptySpace, openSpace, type OpenSpace } from '../src/open-space.ts';
import { UNHURRIED } from '../src/pace.ts';
import { buildSegment, type BuildJob } from '../src/segment-build.ts';
import type { Snapshot } from '../src/stamp.ts';
import { configOf, filterOf, frameOf, optionsOf } from './frames.ts';
import { scratchFolder } from './scratch.ts';

const KEEP_MS = 1_000;
const IDS = Array.from({ length: 10 }, (_, i) => `id-${i}`);
const QUERY = Float32Array.of(3, 1);

interface Write {
  readonly puts: readonly { readonly id: string; readonly x: number }[];
  readonly deletes: readonly string[];
}
type Model = ReadonlyMap<string, { readonly sequence: number; readonly x: number }>;

const put = fc.record({ id: fc.constantFrom(...IDS), x: fc.integer({ min: -9, max: 9 }) });
const write: fc.Arbitrary<Write> = fc.record({
  puts: fc.uniqueArray(put, { selector: ({ id }) => id, maxLength: 4 }),
  deletes: fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 2 }),
});
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ write, lane: fc.constantFrom(...LANES) }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      'remember' as const,
      'build' as const,
      'seal' as const,
      'give work' as const,
      'give a merge' as const,
      'do the work' as const,
      'tick' as const,
      'unload and open' as const,
    ),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Subject {
  #space: OpenSpace;
  readonly #lanes: readonly Lane[];
  readonly #jobs: BuildJob[] = [];
  readonly remembered: { readonly asOf: Snapshot; readonly model: Model }[] = [];
  model: Model = new Map();
  #seen: Snapshot = perLane(() => 0);
  #sequence = 0;
  nowMs = 0;

  constructor(folder: string, lanes: readonly Lane[]) {
    const options = optionsOf(folder, {
      graphThreshold: 4,
      segmentBytesMax: 300,
      mergedBytesMax: 3_000,
      snapshotKeepMs: KEEP_MS,
    });
    this.#space = emptySpace(configOf({ dimension: 2, metric: 'l2' }), options);
    this.#lanes = lanes;
  }

  get engine() {
    return this.#space.engine;
  }

  write({ puts, deletes }: Write, wanted: Lane): void {
    const lane = this.#lanes.includes(wanted) ? wanted : 'normal';
    const sequence = ++this.#sequence;
    const frame = frameOf(
      puts.map(({ id, x }) => ({ id, embedding: [x, sequence % 5], metadata: { x } })),
      deletes,
    );
    expect(this.engine.apply(frame, sequence, lane).errors).toEqual([]);
    const model = new Map(this.model);
    for (const { id, x } of puts) model.set(id, { sequence, x });
    for (const id of deletes) model.delete(id);
    this.model = model;
    this.#seen = { ...this.#seen, [lane]: sequence };
    this.#space.upkeep.roll();
  }

  async take(each: Step): Promise<void> {
    const { upkeep } = this.#space;
    if (typeof each !== 'string') return this.write(each.write, each.lane);
    switch (each) {
      case 'remember':
        this.remembered.push({ asOf: this.#seen, model: this.model });
        return;
      case 'build':
        upkeep.buildGraph(() => true);
        return;
      case 'seal':
        upkeep.buildGraph(() => false);
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
      case 'tick':
        upkeep.tick(this.nowMs++, false);
        return;
      case 'unload and open':
        upkeep.buildGraph(() => false);
        if (await upkeep.unload())
          this.#space = await openSpace(this.engine.config, this.engine.options);
        return;
    }
  }

  /** Lets everything pass that keeps dead rows, and merges away what can be. */
  async forget(): Promise<void> {
    const { upkeep } = this.#space;
    for (const job of this.#jobs.splice(0)) await upkeep.finish(await buildSegment(job, UNHURRIED));
    upkeep.buildGraph(() => false);
    while (await upkeep.tend()) continue;
    for (let pass = 0; pass < 3; pass++) upkeep.tick((this.nowMs += KEEP_MS), false);
    for (let job = upkeep.giveMerge(); job !== undefined; job = upkeep.giveMerge())
      await upkeep.finish(await buildSegment(job, UNHURRIED));
  }

  /** @returns whether the snapshot is still kept */
  async check({ asOf, model }: { asOf?: Snapshot; model: Model }): Promise<boolean> {
    const shown = new Map<string, { sequence: number; x: number }>();
    const ask = { embedding: QUERY, k: 50, ...(asOf === undefined ? {} : { asOf }) };
    try {
      const hits = await this.engine.recall(ask);
      for (const { id, sequence, embedding } of hits) shown.set(id, { sequence, x: embedding[0]! });
      expect(hits).toHaveLength(shown.size);
      const positive = await this.engine.recall({ ...ask, filter: filterOf({ x: { $gt: 0 } }) });
      const wanted = [...model].filter(([, { x }]) => x > 0).map(([id]) => id);
      expect(positive.map(({ id }) => id).sort()).toEqual(wanted.sort());
      const three = await this.engine.recall({ ...ask, k: 3 });
      expect(three.map(({ score }) => score)).toEqual(hits.slice(0, 3).map(({ score }) => score));
    } catch (error) {
      expect(error).toMatchObject({ code: 'POSITION_EXPIRED' });
      expect(asOf).toBeDefined();
      return false;
    }
    expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(model));
    return true;
  }
}

for (const [name, lanes] of [
  ['one lane', ['normal']],
  ['three lanes', LANES],
] as const)
  test(`a recall as of a position sees exactly what was there, while all goes on and until it is forgotten (${name}) (E4)`, async () => {
    const folder = scratchFolder();
    let run = 0;
    let expired = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 50, size: 'max' }),
        fc.array(write, { minLength: 1, maxLength: 4 }),
        async (steps, later) => {
          const subject = new Subject(join(folder, String(run++)), lanes);
          for (const each of steps) {
            await subject.take(each);
            const last = subject.remembered.at(-1);
            if (last !== undefined) expect(await subject.check(last)).toBe(true);
          }
          // While they are kept, none is ever refused.
          for (const each of subject.remembered) expect(await subject.check(each)).toBe(true);
          await subject.check({ model: subject.model });
          await subject.forget();
          const middle = subject.remembered.length;
          await subject.take('remember');
          for (const each of later) subject.write(each, 'low');
          await subject.take('seal');
          await subject.take('remember');
          // The old ones are right or refused; those that are newer than what was forgotten are right.
          for (const [i, each] of subject.remembered.entries()) {
            const isKept = await subject.check(each);
            if (!isKept) expired++;
            if (i >= middle) expect(isKept).toBe(true);
          }
          await subject.check({ model: subject.model });
          subject.engine.segments.close();
        },
      ),
      { numRuns: 25 },
    );
    expect(expired).toBeGreaterThan(5);
  });
