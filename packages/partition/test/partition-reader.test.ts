import { createLogger } from '@engram/runtime/logger';
import { LANES, perLane, type Lane, type PartitionId } from '@engram/model';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { LAG_MAX, LAG_MS_MAX } from '../src/feeds.ts';
import type { FeedRequest } from '../src/options.ts';
import { PartitionReader } from '../src/partition-reader.ts';
import { ENTRY_BYTES, FakeLog, type Entry, type Mood } from './fake-log.ts';
import { SimClock, turn } from './sim-clock.ts';

const INTERVAL_MS = 100;
const ROOM = { messages: 4, bytes: 4 * ENTRY_BYTES };

interface Apply extends Entry {
  readonly holding: object;
  isDone: boolean;
  readonly finish: () => void;
  readonly fail: () => void;
}

/** A reader over a fake log, and everything it did, checked as it does it. */
class World {
  readonly clock = new SimClock();
  readonly log: FakeLog;
  readonly reader: PartitionReader;
  readonly applies: Apply[] = [];
  readonly announcements: ReadonlySet<PartitionId>[] = [];
  /** How often something was called complete: a check that never runs proves nothing. */
  completions = 0;
  completeTo: ReadonlyMap<PartitionId, number> = new Map();
  surveys = 0;
  /** Up to where each partition is stored. */
  readonly stored = new Map<PartitionId, number>();
  readonly #restored = new Map<PartitionId, number>();
  /** Those of which entries are gone when they have caught up. */
  readonly overtaken = new Set<PartitionId>();
  /** A new object each time a partition is taken; what is stored of it need not be applied. */
  readonly #holdings = new Map<
    PartitionId,
    { readonly headAtTake: number; readonly from: number; completeTo: number }
  >();
  #ready: ReadonlySet<PartitionId> = new Set();

  /** A callback must not throw into the reader, which would take it for the callback's failure. */
  readonly #violations: unknown[] = [];

  constructor(stripeCount = 1) {
    this.log = new FakeLog(stripeCount);
    this.reader = new PartitionReader({
      stripeCount,
      openFeed: (request) => {
        this.#take(request);
        return this.log.openFeed(request);
      },
      restore: (partition) => this.#restore(partition),
      confirm: (partition) => this.#confirm(partition),
      head: (stripe) => this.log.head(stripe),
      apply: (message) => this.#apply(message),
      onRelease: (partitions) => {
        for (const partition of partitions) this.#holdings.delete(partition);
      },
      onReady: (ready) => this.#guard(() => this.#checkReady(ready)),
      onComplete: (upTo) => this.#guard(() => this.#checkComplete(upTo)),
      roomPerLane: perLane(() => ROOM),
      room: () => ROOM,
      intervalMs: INTERVAL_MS,
      clock: this.clock,
      logger: createLogger('shard', 'test', 'silent'),
    });
  }

  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#violations.push(error);
    }
  }

  /** A feed of all lanes is a replay: its partitions have just been taken. */
  #take({ stripe, subjects }: FeedRequest): void {
    if (new Set(subjects.map((subject) => subject.split('.')[2])).size !== LANES.length) return;
    for (const subject of subjects)
      this.#holdings.set(Number(subject.split('.')[1]) as PartitionId, {
        headAtTake: this.log.headsTold.get(stripe)!,
        from: this.#restored.get(Number(subject.split('.')[1]) as PartitionId)!,
        completeTo: this.#restored.get(Number(subject.split('.')[1]) as PartitionId)!,
      });
  }

  async #restore(partition: PartitionId): Promise<number> {
    await this.log.gate();
    if (this.log.mood === 'fails') throw new Error('the store does not answer');
    const from = this.stored.get(partition) ?? 0;
    this.#restored.set(partition, from);
    return from;
  }

  async #confirm(partition: PartitionId): Promise<boolean> {
    await this.log.gate();
    if (this.log.mood === 'fails') throw new Error('the store does not answer');
    return !this.overtaken.delete(partition);
  }

  /** What has to be applied of a partition: all that is not stored. */
  dueOf(partition: PartitionId, lane: Lane): readonly Entry[] {
    const from = this.#holdings.get(partition)?.from ?? 0;
    return this.log.entriesOf(partition, lane).filter(({ sequence }) => sequence > from);
  }

  appliesOf(partition: PartitionId, lane: Lane): Apply[] {
    const holding = this.#holdings.get(partition);
    return this.applies.filter(
      (each) => each.partition === partition && each.lane === lane && each.holding === holding,
    );
  }

  get unfinished(): Apply[] {
    return this.applies.filter(({ isDone }) => !isDone);
  }

  #apply({ sequence, partition, lane }: Entry): Promise<void> {
    const holding = this.#holdings.get(partition);
    // P1: exactly the entry that follows the last one of this lane in the log.
    const before = this.appliesOf(partition, lane).length;
    this.#guard(() => {
      expect(holding, `partition ${partition} is held`).toBeDefined();
      expect(sequence).toBe(this.dueOf(partition, lane)[before]?.sequence);
    });
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => () => {
        each.isDone = true;
        end();
      };
      const each: Apply = {
        sequence,
        partition,
        lane,
        holding: holding ?? {},
        isDone: false,
        finish: settle(resolve),
        fail: settle(() => reject(new Error('not applied'))),
      };
      this.applies.push(each);
    });
  }

  /** P2 for those that have become ready. */
  #checkReady(ready: ReadonlySet<PartitionId>): void {
    this.announcements.push(ready);
    for (const partition of ready) {
      if (this.#ready.has(partition)) continue;
      const { headAtTake } = this.#holdings.get(partition)!;
      for (const lane of LANES) {
        const stood = this.dueOf(partition, lane).filter((e) => e.sequence <= headAtTake);
        const done = this.appliesOf(partition, lane).filter(({ isDone }) => isDone);
        expect(done.map((e) => e.sequence)).toEqual(
          expect.arrayContaining(stood.map((e) => e.sequence)),
        );
      }
    }
    this.#ready = ready;
  }

  /** What is called complete is applied: nothing up to there is missing or under way. */
  #checkComplete(upTo: ReadonlyMap<PartitionId, number>): void {
    this.completeTo = upTo;
    this.surveys++;
    for (const [partition, sequence] of upTo) {
      const holding = this.#holdings.get(partition)!;
      expect(sequence, 'it never falls').toBeGreaterThanOrEqual(holding.completeTo);
      holding.completeTo = sequence;
      for (const lane of LANES) {
        const stood = this.dueOf(partition, lane).filter((e) => e.sequence <= sequence);
        const done = this.appliesOf(partition, lane).filter(({ isDone }) => isDone);
        expect(done.map((e) => e.sequence)).toEqual(
          expect.arrayContaining(stood.map((e) => e.sequence)),
        );
        if (sequence > 0) this.completions++;
      }
    }
  }

  /** What holds at every moment. */
  check(): void {
    for (const violation of this.#violations) throw violation;
    for (const partition of this.reader.held) {
      const { sequences } = this.reader.applied(partition);
      for (const lane of LANES) {
        const applies = this.appliesOf(partition, lane).filter(
          (e) => e.sequence <= sequences[lane],
        );
        expect(applies.every(({ isDone }) => isDone)).toBe(true);
      }
    }
  }

  /** Everything that can happen happens until nothing does any more. */
  async settle(): Promise<void> {
    this.log.mood = 'answers';
    this.log.openAllGates();
    for (let quiet = 0, rounds = 0; quiet < 12; rounds++) {
      expect(rounds, 'the reader comes to rest').toBeLessThan(5_000);
      await turn();
      const hasDelivered = this.log.openFeeds.map((feed) => feed.deliver()).some(Boolean);
      const waiting = this.unfinished;
      for (const each of waiting) each.finish();
      if (hasDelivered || waiting.length > 0) quiet = 0;
      else {
        quiet++;
        this.clock.advance(INTERVAL_MS);
      }
      this.check();
    }
  }

  sequences(partition: PartitionId, lane: Lane): number[] {
    return this.appliesOf(partition, lane).map(({ sequence }) => sequence);
  }

  expectWhole(partitions: Iterable<PartitionId>): void {
    for (const partition of partitions)
      for (const lane of LANES)
        expect(this.sequences(partition, lane)).toEqual(
          this.dueOf(partition, lane).map(({ sequence }) => sequence),
        );
  }
}

/** Lets time go on in small steps until something holds. */
async function until(holds: () => boolean, { clock }: World): Promise<void> {
  for (let round = 0; !holds(); round++) {
    expect(round, 'it does not come about').toBeLessThan(1_000);
    clock.advance(INTERVAL_MS / 10);
    await turn();
  }
}

const p = (partition: number) => partition as PartitionId;
const set = (...partitions: number[]) => new Set(partitions.map(p));

const worlds: World[] = [];
function world(stripeCount?: number): World {
  const made = new World(stripeCount);
  worlds.push(made);
  return made;
}
afterEach(async () => {
  for (const made of worlds.splice(0)) {
    made.log.openAllGates();
    await made.reader.close();
    expect(made.log.openFeeds).toEqual([]);
    expect(made.clock.sleeping).toBe(0);
  }
});

const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('open' as const), n: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('deliver' as const), n: fc.nat(20) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), n: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), n: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('tick' as const), n: fc.constant(0) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('hold' as const), n: fc.nat(15) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('publish' as const), n: fc.nat(11) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('mood' as const), n: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('store' as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('overtake' as const), n: fc.nat(3) }) },
);

const MOODS: readonly Mood[] = ['answers', 'cannot tell', 'fails'];

async function run(w: World, { kind, n }: { readonly kind: string; readonly n: number }) {
  const pick = <T>(list: readonly T[]): T | undefined => list[n % Math.max(1, list.length)];
  switch (kind) {
    case 'open':
      w.log.openGate(n);
      break;
    case 'deliver':
      pick(w.log.openFeeds)?.deliver();
      break;
    case 'finish':
      pick(w.unfinished)?.finish();
      break;
    case 'fail':
      pick(w.unfinished)?.fail();
      break;
    case 'tick':
      w.clock.advance(INTERVAL_MS);
      break;
    case 'hold':
      w.reader.hold(set(...[0, 1, 2, 3].filter((bit) => (n >> bit) & 1)));
      break;
    case 'publish':
      w.log.publish(p(n % 4), LANES[n % 3]!);
      break;
    case 'mood':
      w.log.mood = MOODS[n]!;
      break;
    case 'store':
      w.stored.set(p(n), w.log.headOf(n % w.log.stripeCount));
      break;
    case 'lose':
      w.reader.replay([p(n)]);
      break;
    case 'overtake':
      w.overtaken.add(p(n));
      break;
  }
  await turn();
  w.check();
}

describe('a partition reader', () => {
  test('hands each entry over once and in order, and is ready only after its log (P1, P2), whatever happens when', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2),
        fc.array(fc.nat(11), { maxLength: 12 }),
        fc.array(command, { minLength: 20, maxLength: 120, size: 'max' }),
        fc.nat(15),
        async (stripeCount, published, commands, last) => {
          const w = new World(stripeCount);
          for (const n of published) w.log.publish(p(n % 4), LANES[n % 3]!);
          try {
            for (const each of commands) await run(w, each);
            const wanted = set(...[0, 1, 2, 3].filter((bit) => (last >> bit) & 1));
            w.reader.hold(wanted);
            await w.settle();
            expect(new Set(w.reader.held)).toEqual(wanted);
            expect(w.reader.ready).toEqual(wanted);
            w.expectWhole(wanted);
            expect(w.reader.replayCount).toBe(0);
            for (const lane of LANES) expect(w.reader.inFlight(lane)).toBe(0);
          } finally {
            w.log.openAllGates();
            await w.reader.close();
          }
          expect(w.log.openFeeds).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('calls a partition complete up to the head once all of it is applied', async () => {
    const w = world();
    for (let i = 0; i < 9; i++) w.log.publish(p(0), LANES[i % 3]!);
    w.reader.hold(set(0));
    await w.settle();
    expect(w.completions).toBeGreaterThan(0);
  });

  test('symptom: an entry under way in a lane that had none made all that was complete unknown', async () => {
    const w = world();
    w.reader.hold(set(0, 1));
    for (let i = 0; i < 9; i++) w.log.publish(p(i % 2), 'normal');
    await w.settle();
    expect(w.completeTo.get(p(0))).toBe(9);
    w.log.publish(p(0), 'high');
    w.log.openAllGates();
    await drive(w, () => w.unfinished.length === 1);
    const told = async () => {
      const { surveys } = w;
      await drive(w, () => w.surveys > surveys);
      return w.completeTo.get(p(0));
    };
    expect(await told()).toBe(9);
    w.log.mood = 'cannot tell';
    expect(await told()).toBe(9);
  });

  test('replays a partition that was let go and taken again from the start', async () => {
    const w = world();
    for (let i = 0; i < 9; i++) w.log.publish(p(0), LANES[i % 3]!);
    w.reader.hold(set(0));
    await w.settle();
    expect(w.applies).toHaveLength(9);
    w.reader.hold(set());
    await w.settle();
    expect(w.reader.held).toEqual([]);
    expect(w.reader.isReady(p(0))).toBe(false);
    w.reader.hold(set(0));
    await w.settle();
    expect(w.applies).toHaveLength(18);
    w.expectWhole([p(0)]);
    expect(w.announcements.map((ready) => ready.size)).toEqual([1, 0, 1]);
  });

  test('replays only what came after what is stored of a partition', async () => {
    const w = world();
    for (let i = 0; i < 9; i++) w.log.publish(p(i % 2), LANES[i % 3]!);
    w.stored.set(p(0), 4);
    w.reader.hold(set(0, 1));
    await w.settle();
    expect(w.applies.filter(({ partition }) => partition === 0)).toHaveLength(3);
    expect(w.applies.filter(({ partition }) => partition === 1)).toHaveLength(4);
    expect(w.reader.ready).toEqual(set(0, 1));
  });

  test('is ready at once where all of its log is stored, and waits for nothing in it', async () => {
    const w = world();
    for (let i = 0; i < 9; i++) w.log.publish(p(0), LANES[i % 3]!);
    w.stored.set(p(0), 9);
    w.reader.hold(set(0));
    await w.settle();
    expect(w.applies).toEqual([]);
    const sequences = { high: 7, normal: 8, low: 9 };
    expect(await w.reader.waitFor({ partition: p(0), sequences }, 0)).toBe(true);
  });

  test('is restored again when entries were removed from the log before it had read them', async () => {
    const w = world();
    for (let i = 0; i < 6; i++) w.log.publish(p(0), 'normal');
    w.overtaken.add(p(0));
    w.reader.hold(set(0));
    w.log.openAllGates();
    await drive(w, () => w.applies.length === ROOM.messages);
    w.stored.set(p(0), 5);
    await w.settle();
    expect(w.applies).toHaveLength(7);
    expect(w.announcements.map((ready) => ready.size)).toEqual([0, 1]);
    expect(w.reader.ready).toEqual(set(0));
  });

  test('is not ready while what is stored cannot be had, and is let go all the same', async () => {
    const w = world();
    w.log.publish(p(0), 'normal');
    w.stored.set(p(0), 1);
    w.log.mood = 'fails';
    w.reader.hold(set(0, 1));
    for (let i = 0; i < 20; i++) {
      w.log.openAllGates();
      w.clock.advance(INTERVAL_MS);
      await turn();
    }
    expect(w.reader.ready).toEqual(set());
    expect(w.applies).toEqual([]);
    expect(w.reader.holding(p(1))?.failure?.cause).toMatchObject({
      message: 'the store does not answer',
    });
    w.reader.hold(set(1));
    await w.settle();
    expect(w.reader.holding(p(1))?.failure).toBeUndefined();
    expect(w.reader.held).toEqual([1]);
    expect(w.reader.ready).toEqual(set(1));
  });

  test('is not ready while one entry of its log is not applied, even the first of several', async () => {
    const w = world();
    w.log.openAllGates();
    for (let i = 0; i < 3; i++) w.log.publish(p(0), 'normal');
    w.reader.hold(set(0));
    expect(w.reader.replays).toEqual([]);
    await drive(w, () => w.reader.replays.length === 1);
    const [replay] = w.reader.replays;
    expect(replay).toMatchObject({ partitions: [p(0)], start: 0, until: 3 });
    expect(replay!.at).toBeLessThanOrEqual(3);
    await drive(w, () => w.applies.length === 3);
    w.applies[2]!.finish();
    w.applies[1]!.finish();
    await drive(w, () => w.reader.replayCount === 0);
    expect(w.reader.held).toContain(p(0));
    expect(w.reader.isReady(p(0))).toBe(false);
    expect(w.reader.applied(p(0)).sequences.normal).toBe(0);
    w.applies[0]!.finish();
    await drive(w, () => w.reader.isReady(p(0)));
    expect(w.reader.applied(p(0)).sequences.normal).toBe(3);
  });

  test('an entry that could not be applied does not hold up the ones behind it', async () => {
    const w = world();
    w.log.openAllGates();
    for (let i = 0; i < 3; i++) w.log.publish(p(0), 'normal');
    w.reader.hold(set(0));
    await drive(w, () => w.applies.length === 3);
    w.applies[0]!.fail();
    await w.settle();
    expect(w.reader.isReady(p(0))).toBe(true);
    expect(w.reader.applied(p(0)).sequences.normal).toBe(3);
  });

  test('takes no more of a lane than there is room for, and the other lanes go on (P3)', async () => {
    const w = world();
    w.reader.hold(set(0));
    await w.settle();
    for (let i = 0; i < 10; i++) w.log.publish(p(0), 'low');
    w.log.publish(p(0), 'high');
    await drive(w, () => w.reader.inFlight('high') === 1 && w.reader.inFlight('low') > 0);
    for (let i = 0; i < 20; i++) {
      for (const feed of w.log.openFeeds) feed.deliver();
      w.clock.advance(INTERVAL_MS);
      await turn();
    }
    expect(w.reader.inFlight('low')).toBe(ROOM.messages);
    expect(w.reader.pending('low')).toBe(10 - ROOM.messages);
    expect(w.reader.lag(p(0))).toBe(10 + w.reader.inFlight('high'));
    expect(w.reader.lag(p(1))).toBe(0);
    await w.settle();
    expect(w.sequences(p(0), 'low')).toHaveLength(10);
  });

  test('symptom: a feed that found no room beside another one is pumped when the other has made some', async () => {
    const w = world(2);
    w.log.openAllGates();
    for (let i = 0; i < 8; i++) w.log.publish(p(i % 2), 'normal');
    w.reader.hold(set(0));
    // The replay of stripe 0 fills the room that all replays share …
    await drive(w, () => w.applies.length === ROOM.messages);
    w.reader.hold(set(0, 1));
    await turn();
    await turn();
    const other = w.log.openFeeds.find((feed) => feed.request.stripe === 1)!;
    expect(other.deliver()).toBe(false);
    for (const each of w.unfinished) each.finish();
    await turn();
    // … and nothing but this pump tells the replay of stripe 1 that there is room again.
    expect(other.deliver()).toBe(true);
  });

  test('entries published while it moves from replay to live feeds come once', async () => {
    const w = world();
    w.log.publish(p(0), 'normal');
    w.reader.hold(set(0));
    for (let i = 0; i < 60; i++) {
      if (i % 3 === 0) w.log.publish(p(0), LANES[i % 2]!);
      w.log.openGate(i);
      for (const feed of w.log.openFeeds) feed.deliver();
      for (const each of w.unfinished) each.finish();
      w.clock.advance(INTERVAL_MS / 4);
      await turn();
    }
    await w.settle();
    w.expectWhole([p(0)]);
  });

  test('is not ready while much came during its replay, unless it does not get nearer', async () => {
    for (const isReading of [true, false]) {
      const w = world();
      w.log.isOpen = true;
      w.log.publish(p(0), 'normal');
      w.reader.hold(set(0));
      await until(() => w.reader.replayCount === 1, w);
      for (let i = 0; i < LAG_MAX + 20; i++) w.log.publish(p(0), LANES[i % 3]!);
      const replay = w.log.openFeeds[0]!;
      const read = async () => {
        replay.deliver();
        for (const each of w.unfinished) each.finish();
        await turn();
      };
      await read();
      await read();
      const startedAt = w.clock.now();
      while (w.clock.now() < startedAt + LAG_MS_MAX - 20 * INTERVAL_MS) {
        w.clock.advance(INTERVAL_MS);
        await turn();
      }
      expect(w.reader.isReady(p(0))).toBe(false);
      if (isReading) for (let i = 0; i < 20; i++) await read();
      else w.clock.advance(30 * INTERVAL_MS);
      await until(() => w.reader.isReady(p(0)), w);
      expect(w.clock.now() - startedAt >= LAG_MS_MAX).toBe(!isReading);
      await w.settle();
      w.expectWhole([p(0)]);
    }
  });

  test('a second partition joins the live feeds without a gap for the first', async () => {
    const w = world();
    w.reader.hold(set(0));
    await w.settle();
    for (let i = 0; i < 12; i++) w.log.publish(p(i % 2), 'normal');
    w.reader.hold(set(0, 1));
    await w.settle();
    w.expectWhole([p(0), p(1)]);
    expect(w.log.openFeeds.map((feed) => feed.request.subjects.length)).toEqual([2, 2, 2]);
  });

  test('the live feeds of a stripe end with its last partition', async () => {
    const w = world(2);
    w.reader.hold(set(0, 1));
    await w.settle();
    expect(w.log.openFeeds).toHaveLength(6);
    w.reader.hold(set(1));
    await w.settle();
    expect(w.log.openFeeds.map((feed) => feed.request.stripe)).toEqual([1, 1, 1]);
  });

  test('an empty log makes a partition ready', async () => {
    const w = world();
    w.reader.hold(set(5));
    await w.settle();
    expect([...w.reader.ready]).toEqual([5]);
  });
});

describe('waiting for a position', () => {
  const position = (normal: number) => ({
    partition: p(0),
    sequences: { high: 0, normal, low: 0 },
  });

  test('ends at once when it is applied', async () => {
    const w = world();
    w.log.publish(p(0), 'normal');
    w.reader.hold(set(0));
    await w.settle();
    expect(await w.reader.waitFor(position(1), 0)).toBe(true);
  });

  test('ends when the last missing entry is applied', async () => {
    const w = world();
    w.reader.hold(set(0));
    await w.settle();
    w.log.publish(p(0), 'normal');
    w.log.publish(p(0), 'normal');
    const waits = w.reader.waitFor(position(2), 1_000_000_000);
    await w.settle();
    expect(await waits).toBe(true);
  });

  test('symptom: what is stored was waited for as long as there was time, though it was there', async () => {
    const w = world();
    for (let i = 0; i < 3; i++) w.log.publish(p(0), 'normal');
    w.stored.set(p(0), 3);
    w.reader.hold(set(0));
    const waits = w.reader.waitFor(position(3), 1_000_000_000);
    await w.settle();
    expect(await waits).toBe(true);
    expect(w.applies).toEqual([]);
  });

  test('ends false when the time is over, and leaves no timer behind', async () => {
    const w = world();
    w.reader.hold(set(0));
    await w.settle();
    const sleeping = w.clock.sleeping;
    const waits = w.reader.waitFor(position(1), 50);
    w.clock.advance(50);
    expect(await waits).toBe(false);
    await w.settle();
    expect(w.clock.sleeping).toBe(sleeping);
  });

  test('never ends true for a partition that is not held', async () => {
    const w = world();
    const waits = w.reader.waitFor(position(0), 50);
    w.clock.advance(50);
    expect(await waits).toBe(false);
  });

  test('ends when the reader closes', async () => {
    const w = world();
    w.reader.hold(set(0));
    await w.settle();
    const waits = w.reader.waitFor(position(1), 1_000_000_000);
    await w.reader.close();
    expect(await waits).toBe(false);
  });
});

/** Feeds deliver and time passes until the condition holds; nothing is finished meanwhile. */
async function drive(w: World, condition: () => boolean): Promise<void> {
  w.log.openAllGates();
  for (let rounds = 0; !condition(); rounds++) {
    expect(rounds, 'the condition comes true').toBeLessThan(500);
    for (const feed of w.log.openFeeds) feed.deliver();
    w.clock.advance(INTERVAL_MS);
    await turn();
  }
}
