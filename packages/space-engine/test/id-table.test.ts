import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdHash } from '../src/id-hash.ts';
import { IdTable } from '../src/id-table.ts';

/** Few homes at both ends of a small table, so that runs of slots collide and wrap around. */
const low = fc.constantFrom(0, 1, 2, 13, 14, 15, 16, 31, 0xffff_fff0, 0xffff_ffff);
const key = fc.record({ high: fc.constantFrom(0, 1, 0xffff_ffff), low, name: fc.nat({ max: 3 }) });
const change = fc.record({
  key,
  kind: fc.constantFrom('add', 'add', 'remove', 'move', 'relocate'),
  segment: fc.integer({ min: 1, max: 5 }),
});

/** Rows are numbered as they come, so that a row names its key. */
class Subject {
  readonly table = new IdTable();
  readonly model = new Map<string, { segment: number; row: number }>();
  readonly #names = new Map<number, string>();
  #nextRow = 0;

  find(each: typeof key extends fc.Arbitrary<infer T> ? T : never): number {
    const name = JSON.stringify(each);
    const { table } = this;
    let found = -1;
    let steps = 0;
    for (
      let slot = table.first(each.high, each.low);
      slot >= 0;
      slot = table.next(slot, each.high, each.low)
    ) {
      // A seek that went around would see a slot twice.
      expect(++steps).toBeLessThanOrEqual(table.size);
      if (this.#names.get(table.row(slot)) === name) found = slot;
    }
    return found;
  }

  take({ key: each, kind, segment }: typeof change extends fc.Arbitrary<infer T> ? T : never) {
    const name = JSON.stringify(each);
    if (kind === 'relocate') {
      // All rows of one segment go to another.
      this.table.relocate((from, row) =>
        from === segment ? { segment: 6 - from, row } : undefined,
      );
      for (const place of this.model.values())
        if (place.segment === segment) place.segment = 6 - segment;
      return;
    }
    const slot = this.find(each);
    expect(slot >= 0).toBe(this.model.has(name));
    const row = this.#nextRow++;
    this.#names.set(row, name);
    if (kind === 'remove') {
      if (slot >= 0) this.table.remove(slot);
      this.model.delete(name);
    } else {
      if (slot >= 0) this.table.move(slot, segment, row);
      else if (kind === 'add') this.table.add(each.high, each.low, segment, row);
      else return;
      this.model.set(name, { segment, row });
    }
  }
}

test('the table of ids answers like a map, also where ids have one home or one hash (T1)', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 120, size: 'max' }), (changes) => {
      const subject = new Subject();
      const { table, model } = subject;
      for (const each of changes) {
        subject.take(each);
        expect(table.size).toBe(model.size);
      }
      for (const { key: each } of changes) {
        const slot = subject.find(each);
        const found = slot < 0 ? undefined : { segment: table.segment(slot), row: table.row(slot) };
        expect(found).toEqual(model.get(JSON.stringify(each)));
      }
    }),
    { numRuns: 150 },
  );
});

test('a table that was made for many ids does not grow while they come', () => {
  const table = new IdTable(1_000);
  const before = table.bytes;
  for (let row = 0; row < 1_000; row++) table.add(row, Math.imul(row, 0x9e3779b1) >>> 0, 1, row);
  expect(table.bytes).toBe(before);
  expect(table.size).toBe(1_000);
});

const hashOf = (text: Uint8Array, start = 0, end = text.length): [number, number] => {
  const hash = new IdHash();
  hash.of(text, start, end);
  return [hash.high, hash.low];
};

test('the hash of an id is of its bytes alone, wherever they lie', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.uint8Array({ maxLength: 16 }),
      fc.uint8Array({ maxLength: 16 }),
      (text, before, after) => {
        const [high, low] = hashOf(text);
        expect(Number.isInteger(high) && high >= 0 && high <= 0xffff_ffff).toBe(true);
        expect(Number.isInteger(low) && low >= 0 && low <= 0xffff_ffff).toBe(true);
        const around = Uint8Array.from([...before, ...text, ...after]);
        expect(hashOf(around, before.length, before.length + text.length)).toEqual([high, low]);
      },
    ),
  );
});

test('ids that differ little are spread over the table, in both halves of their hash', () => {
  const names = (make: (i: number) => string) =>
    Array.from({ length: 20_000 }, (_, i) => Buffer.from(make(i)));
  for (const make of [
    (i: number) => String(i),
    (i: number) => `user:${i * 1_000}`,
    (i: number) => `${'0'.repeat(200)}${i}`,
    (i: number) => `${i}${'x'.repeat(31)}`,
    (i: number) => String.fromCodePoint(0x4e00 + (i % 5_000), 0x4e00 + Math.floor(i / 5_000)),
  ]) {
    const hashes = names(make).map((text) => hashOf(text));
    expect(new Set(hashes.map(([high, low]) => `${high} ${low}`)).size).toBe(20_000);
    for (const half of [0, 1] as const) {
      // Throwing 20,000 balls into 32,768 bins leaves about 14,900 of them hit.
      const bins = new Set(hashes.map((hash) => hash[half] & 0x7fff));
      expect(bins.size).toBeGreaterThan(14_000);
    }
  }
});
