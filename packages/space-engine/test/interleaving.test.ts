import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Metadata } from '@engram/model';
import { expect, test } from 'vitest';
import type { Pace } from '../src/pace.ts';
import { buildSegment, type BuildJob } from '../src/segment-build.ts';
import type { Snapshot } from '../src/stamp.ts';
import { clustered, filterOf } from './frames.ts';
import { apply, ids, spaceOf } from './spaces.ts';
import { seededRandom } from '../../../test/support/random.ts';

/** Every slice is over at once: whatever can come between two turns does. */
const HURRIED: Pace = { isDue: () => true, turn: () => nextTurn() };

/** Another thread's work, which pauses less often. */
const seldom = (): Pace => {
  let looks = 0;
  return { isDue: () => ++looks % 8 === 0, turn: () => nextTurn() };
};

const KINDS = 3;
const filters = [
  undefined,
  filterOf({ kind: 1 }),
  filterOf({ kind: { $ne: 2 } }),
  filterOf({ absent: 1 }),
];

interface Kept {
  readonly sequence: number;
  readonly kind: number;
}

/** A space that is written, built, sealed, shared and merged while it is asked. */
class Subject {
  readonly #random: () => number;
  /** How often is asked depends on the machine; what goes on does not. */
  readonly #asking: () => number;
  readonly #vectors: readonly Float32Array[];
  readonly #space: ReturnType<typeof spaceOf>;
  readonly #jobs: BuildJob[] = [];
  #living = new Map<string, Kept>();
  /** Ids that were put and deleted since a recall began, for each that is on its way. */
  readonly #watches = new Set<{ readonly put: Set<string>; readonly deleted: Set<string> }>();
  #sequence = 0;
  #nowMs = 0;
  readonly counts = { split: 0, sealed: 0, merged: 0, recalls: 0 };

  constructor(seed: number, dimension: number, rowsMax: number) {
    this.#random = seededRandom(seed);
    this.#asking = seededRandom(-seed);
    this.#vectors = clustered(64, dimension, seed);
    this.#space = spaceOf(
      { dimension, metric: 'l2', m: 4, efConstruction: 16 },
      {
        graphThreshold: 60,
        segmentBytesMax: rowsMax * (dimension * 4 + 32),
        pace: HURRIED,
        snapshotKeepMs: 60_000,
      },
    );
  }

  #below(limit: number, random = this.#random): number {
    return Math.floor(random() * limit);
  }

  write(puts: number, deletes: number): void {
    const sequence = ++this.#sequence;
    const put = new Map<string, Kept>();
    while (put.size < puts)
      put.set(`row ${this.#below(400)}`, { sequence, kind: this.#below(KINDS) });
    const gone = Array.from({ length: deletes }, () => `row ${this.#below(400)}`).filter(
      (id) => !put.has(id),
    );
    apply(
      this.#space,
      sequence,
      [...put].map(([id, { kind }]) => ({
        id,
        embedding: this.#vectors[this.#below(this.#vectors.length)]!,
        metadata: { kind },
      })),
      gone,
    );
    this.#space.upkeep.roll();
    this.#living = new Map([...this.#living, ...put]);
    for (const id of gone) this.#living.delete(id);
    for (const watch of this.#watches) {
      for (const id of put.keys()) watch.put.add(id);
      for (const id of gone) watch.deleted.add(id);
    }
  }

  /** One thing that goes on beside recalls. */
  async go(): Promise<void> {
    const { upkeep, engine } = this.#space;
    const before = engine.segments.memory.length;
    switch (this.#below(8)) {
      case 0:
      case 1:
        return this.write(1 + this.#below(12), this.#below(8));
      case 2:
        upkeep.buildGraph(() => this.#below(4) === 0);
        return;
      case 3:
        if (await upkeep.tend()) this.counts.sealed++;
        return;
      case 4: {
        const job = await upkeep.giveWork(8);
        if (job === undefined) return;
        if (engine.segments.memory.length > before) this.counts.split++;
        this.#jobs.push(job);
        return;
      }
      case 5: {
        const job = upkeep.giveMerge();
        if (job !== undefined) this.#jobs.push(job);
        return;
      }
      case 6: {
        const job = this.#jobs.shift();
        if (job === undefined) return;
        if (this.#random() < 0.2) upkeep.abandon(job.id);
        else await upkeep.finish(await buildSegment(job, seldom()));
        if (job.rowsPath !== undefined) this.counts.merged++;
        return;
      }
      default:
        upkeep.tick((this.#nowMs += 10), false);
    }
  }

  async recall(): Promise<void> {
    this.counts.recalls++;
    const { engine } = this.#space;
    const before = this.#living;
    const began = this.#sequence;
    const watch = { put: new Set<string>(), deleted: new Set<string>() };
    this.#watches.add(watch);
    const filter = filters[this.#below(filters.length, this.#asking)];
    const asOf: Snapshot | undefined =
      this.#asking() < 0.4 ? { high: 0, normal: began, low: 0 } : undefined;
    const isAll = this.#asking() < 0.7;
    const hits = await engine.recall({
      embedding: this.#vectors[this.#below(this.#vectors.length, this.#asking)]!,
      k: isAll ? 1_000 : 5,
      ...(isAll ? { ef: 1_000 } : {}),
      ...(filter === undefined ? {} : { filter }),
      ...(asOf === undefined ? {} : { asOf }),
    });
    this.#watches.delete(watch);
    expect(new Set(ids(hits)).size).toBe(hits.length);
    const wrong = hits.filter(({ id, sequence, metadata }) => {
      if (filter?.predicate(JSON.parse(metadata!) as Metadata) === false) return true;
      // What it shows lived when it began, or was written since; as of a snapshot it is what was.
      const isAsBefore = sequence === before.get(id)?.sequence;
      return !isAsBefore && (asOf !== undefined || sequence <= began);
    });
    expect(wrong).toEqual([]);
    if (!isAll) return;
    // What was there all the time is there, whichever of its versions; as of a snapshot, all that was.
    const shown = new Set(ids(hits));
    const missing = [...before].filter(
      ([id, { kind }]) =>
        !shown.has(id) &&
        (asOf !== undefined ||
          !(watch.deleted.has(id) || (filter !== undefined && watch.put.has(id)))) &&
        (filter?.predicate({ kind }) ?? true),
    );
    expect(missing).toEqual([]);
  }

  async end(): Promise<void> {
    for (const job of this.#jobs) this.#space.upkeep.abandon(job.id);
    await this.recall();
    await this.#space.upkeep.destroy();
  }
}

test.each([false, true])(
  'a recall that pauses finds what is written again meanwhile (into another segment: %s)',
  async (isRolling) => {
    let write = (): void => undefined;
    const space = spaceOf(
      { dimension: 2, metric: 'l2' },
      { graphThreshold: 10_000, pace: { isDue: () => true, turn: () => Promise.resolve(write()) } },
    );
    const rows = Array.from({ length: 700 }, (_, i) => `row ${i}`);
    const puts = (names: readonly string[], y: number) =>
      names.map((id, i) => ({ id, embedding: Float32Array.of(i, y), metadata: { kind: 1 } }));
    apply(space, 1, puts(rows, 0));
    let sequence = 1;
    write = () => {
      // From the back, so that some die before and some after they are looked at.
      if (sequence > 30) return;
      apply(space, ++sequence, puts(rows.slice(700 - sequence * 20), sequence));
      if (isRolling) space.engine.segments.roll();
    };
    const hits = await space.engine.recall({
      embedding: Float32Array.of(0, 0),
      k: 700,
      filter: filterOf({ kind: 1 }),
    });
    expect(sequence).toBeGreaterThan(5);
    expect(ids(hits).sort()).toEqual([...rows].sort());
  },
);

for (const [dimension, rowsMax, numRuns] of [
  [2, 40, 3],
  [2_048, 250, 2], // blocks of 128 rows, so that work that is shared is split
] as const)
  test(`recalls that pause miss nothing, double nothing and show nothing dead while all goes on (${dimension} dimensions)`, async () => {
    const total = { split: 0, sealed: 0, merged: 0, recalls: 0 };
    for (let seed = 1; seed <= numRuns; seed++) {
      const subject = new Subject(seed, dimension, rowsMax);
      for (let part = 0; part < 5; part++) subject.write(40, 0);
      let isOver = false;
      // Some recall is always on its way, whenever a segment is taken in, closed or split.
      const reader = async () => {
        while (!isOver) {
          await subject.recall();
          await nextTurn();
        }
      };
      const readers = Promise.all([reader(), reader(), reader()]);
      readers.catch(() => (isOver = true)); // it is awaited below
      for (let step = 0; !isOver && step < 120; step++) {
        await subject.go();
        await nextTurn();
      }
      isOver = true;
      await readers;
      await subject.end();
      for (const key of Object.keys(total) as (keyof typeof total)[])
        total[key] += subject.counts[key];
    }
    expect(total.sealed).toBeGreaterThan(0);
    expect(dimension > 2 ? total.split : total.merged).toBeGreaterThan(0);
  });
