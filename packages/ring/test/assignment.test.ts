import type { MemberId, PartitionId } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assign } from '../src/assignment.ts';

const names = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/), {
  minLength: 1,
  maxLength: 8,
}) as fc.Arbitrary<MemberId[]>;
const counts = fc.constantFrom(1, 2, 7, 64);
const replications = fc.constantFrom(1, 2, 3);

const all = (partitionCount: number) =>
  Array.from({ length: partitionCount }, (_, p) => p as PartitionId);

describe('an assignment', () => {
  test('does not depend on the order or repetition of the members (R1)', () => {
    fc.assert(
      fc.property(names, counts, replications, (members, count, copies) => {
        const first = assign(members, count, copies);
        const second = assign([...members.toReversed(), members[0]!], count, copies);
        for (const p of all(count)) expect(second.owners(p)).toEqual(first.owners(p));
      }),
    );
  });

  test('bounds each load (R2) and gives each partition its different owners (R3)', () => {
    fc.assert(
      fc.property(names, counts, replications, (members, count, copies) => {
        const assignment = assign(members, count, copies);
        const each = Math.min(copies, members.length);
        const cap = Math.ceil((1.25 * count * each) / members.length);
        for (const p of all(count)) expect(new Set(assignment.owners(p)).size).toBe(each);
        for (const member of members) {
          const mine = assignment.partitionsOf(member);
          expect(mine.length).toBeLessThanOrEqual(cap);
          expect(mine).toEqual(all(count).filter((p) => assignment.owners(p).includes(member)));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('symptom: with two copies a partition lost an owner once the others were full', () => {
    for (let n = 3; n < 7; n++)
      for (let seed = 0; seed < 12; seed++) {
        const members = Array.from({ length: n }, (_, i) => `shard-${seed}-${i}` as MemberId);
        for (const copies of [2, 3]) {
          const assignment = assign(members, 16, copies);
          for (const p of all(16)) expect(new Set(assignment.owners(p)).size).toBe(copies);
        }
      }
  });

  test('symptom: a shard named as something that every object has was given nothing', () => {
    for (const name of ['constructor', '__proto__', 'toString']) {
      const assignment = assign([name, 'other'] as MemberId[], 64);
      expect(assignment.partitionsOf(name as MemberId).length, name).toBeGreaterThan(0);
    }
  });

  test('without members has no owners', () => {
    const assignment = assign([], 4);
    expect(assignment.owners(0 as PartitionId)).toEqual([]);
    expect(assignment.partitionsOf('nobody' as MemberId)).toEqual([]);
  });

  test('moves little more than its share when a member joins or leaves', () => {
    for (let n = 2; n < 8; n++) {
      const members = Array.from({ length: n }, (_, i) => `shard-${i}` as MemberId);
      const before = assign(members.slice(1), 64);
      const after = assign(members, 64);
      const moved = all(64).filter((p) => before.owners(p)[0] !== after.owners(p)[0]);
      // Its share, and what the tighter bound pushes on from member to member.
      expect(moved.length).toBeGreaterThan(0);
      expect(moved.length).toBeLessThanOrEqual(Math.ceil((2 * 64) / n));
    }
  });
});
