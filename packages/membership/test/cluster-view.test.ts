import type { MemberId, PartitionId } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differingMembers, EMPTY_VIEW, nextView } from '../src/cluster-view.ts';
import { decodeMember, encodeMember, type Member } from '../src/member.ts';

const id = fc.constantFrom('a', 'b', 'c', 'd') as fc.Arbitrary<MemberId>;
const member: fc.Arbitrary<Member> = fc
  .record({
    id,
    incarnation: fc.constantFrom('one', 'two'),
    state: fc.constantFrom('active' as const, 'leaving' as const),
    url: fc.constant('http://127.0.0.1:1'),
    startedAt: fc.constant('2026-01-01T00:00:00.000Z'),
    replication: fc.constantFrom(1, 2, 3),
    ready: fc.uniqueArray(fc.nat(4_095)).map((list) => new Set(list as PartitionId[])),
  })
  .map((each) => ({ ...each, role: each.id === 'd' ? 'gateway' : 'shard' }));
const entryOf = (each: Member) => ({ id: each.id, record: encodeMember(each) });

describe("a member's record", () => {
  test('gives back what the member said', () => {
    fc.assert(
      fc.property(member, (each) => {
        expect(decodeMember(entryOf(each))).toEqual(each);
      }),
    );
  });

  test('of before there were copies asks for one', () => {
    const { id: name, record } = entryOf(fc.sample(member, 1)[0]!);
    for (const replication of [undefined, 0, -1, 1.5, '2', null]) {
      const old = JSON.stringify({ ...(JSON.parse(record) as object), replication });
      expect(decodeMember({ id: name, record: old })?.replication).toBe(1);
    }
  });

  test('of garbage is no member, and never an exception', () => {
    const garbage = ['', 'null', '5', '"x"', '[]', '{}', '{"role":"shard"}', 'undefined', '\u0000'];
    for (const record of garbage)
      expect(decodeMember({ id: 'a' as MemberId, record }), record).toBeUndefined();
    fc.assert(
      fc.property(fc.json(), (record) => {
        expect(decodeMember({ id: 'a' as MemberId, record })).toBeUndefined();
      }),
    );
    const good = entryOf({ ...fc.sample(member, 1)[0]!, ready: new Set() });
    for (const ready of ['', 'xyz', '-1', 5, null, 'f'.repeat(20_000)]) {
      const record = JSON.stringify({ ...(JSON.parse(good.record) as object), ready });
      expect(decodeMember({ ...good, record })).toBeUndefined();
    }
    expect(decodeMember({ ...good, id: 'a b' as MemberId })).toBeUndefined();
  });
});

describe('the view of the cluster', () => {
  const answer = fc.record({
    registryId: fc.constantFrom('r1', 'r2'),
    epoch: fc.nat(20),
    members: fc.uniqueArray(member, { selector: (each) => each.id, maxLength: 4 }),
    afterMs: fc.integer({ min: 0, max: 80 }),
  });

  test('has an epoch that never falls (V1), keeps everybody through the grace (V2), agrees on copies (V3), and else follows the registry', () => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 12 }), (answers) => {
        let state = EMPTY_VIEW;
        let now = 0;
        let graceUntil = -Infinity;
        for (const { registryId, epoch, members, afterMs } of answers) {
          now += afterMs;
          const before = state;
          if (before.registryId !== undefined && before.registryId !== registryId)
            graceUntil = now + 100;
          const registry = { registryId, epoch, entries: members.map(entryOf) };
          state = nextView(before, registry, now, 100);
          expect(state.view.epoch).toBe(Math.max(before.view.epoch, epoch));
          const ids = new Set(members.map((each) => each.id));
          if (now < graceUntil) for (const each of before.view.members.keys()) ids.add(each);
          expect([...state.view.members.keys()].sort()).toEqual([...ids].sort());
          for (const each of members) expect(state.view.members.get(each.id)).toEqual(each);
          const shards = [...state.view.members.values()].filter(
            (each) => each.role === 'shard' && each.state === 'active',
          );
          expect(state.view.shards).toEqual(shards.map((each) => each.id).sort());
          // V3, and who differs is told.
          const most = Math.max(1, ...shards.map((each) => each.replication));
          expect(state.view.replication).toBe(most);
          const others = [...state.view.members.values()].filter(
            (each) => shards.length > 0 && each.replication !== most,
          );
          expect(new Set(differingMembers(state.view))).toEqual(new Set(others));
          // The same answer again is no news.
          expect(nextView(state, registry, now, 100).view).toBe(state.view);
        }
      }),
    );
  });

  test('is not disturbed by one record of garbage', () => {
    const good = fc.sample(member, 1)[0]!;
    const entries = [{ id: 'z' as MemberId, record: 'null' }, entryOf(good)];
    const { view } = nextView(EMPTY_VIEW, { registryId: 'r', epoch: 1, entries }, 0, 100);
    expect([...view.members.keys()]).toEqual([good.id]);
  });
});
