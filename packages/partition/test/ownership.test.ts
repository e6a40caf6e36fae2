import type { MemberId, PartitionId } from '@engram/model';
import { assign } from '@engram/ring';
import type { ClusterView, Member } from '@engram/membership';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { candidates, partitionsToHold } from '../src/ownership.ts';

const NAMES = ['s1', 's2', 's3', 's4'] as MemberId[];
const P = 16;

interface Shard {
  readonly state: 'absent' | 'active' | 'leaving';
  readonly ready: readonly number[];
}

function viewOf(shards: readonly Shard[]): ClusterView {
  const members = new Map<MemberId, Member>();
  shards.forEach(({ state, ready }, i) => {
    const id = NAMES[i]!;
    if (state === 'absent') return;
    members.set(id, {
      id,
      role: 'shard',
      incarnation: 'i',
      state,
      url: `http://127.0.0.1:${7000 + i}`,
      startedAt: '2026-01-01T00:00:00.000Z',
      replication: 1,
      ready: new Set(ready as PartitionId[]),
    });
  });
  return {
    epoch: 1,
    members,
    shards: [...members.values()].filter((m) => m.state === 'active').map(({ id }) => id),
    replication: 1,
  };
}

const shard: fc.Arbitrary<Shard> = fc.record({
  state: fc.constantFrom('absent' as const, 'active' as const, 'leaving' as const),
  ready: fc.uniqueArray(fc.nat(P - 1), { maxLength: P }),
});
const shards = fc.array(shard, { minLength: 4, maxLength: 4 });
const replication = fc.constantFrom(1, 2, 3);

describe('what a shard holds', () => {
  test('is what the ring gives it (O1) and what it had until all owners are ready (O2), and nothing else', () => {
    fc.assert(
      fc.property(
        shards,
        replication,
        fc.nat(3),
        fc.uniqueArray(fc.nat(P - 1)),
        (given, copies, self, held) => {
          const view = viewOf(given);
          const assignment = assign(view.shards, P, copies);
          const holds = partitionsToHold(NAMES[self]!, assignment, view, held as PartitionId[]);
          for (let p = 0 as PartitionId; p < P; p++) {
            const owners = assignment.owners(p);
            const isAssigned = owners.includes(NAMES[self]!);
            const isTakenOver =
              owners.length > 0 && owners.every((id) => view.members.get(id)!.ready.has(p));
            expect(holds.has(p)).toBe(isAssigned || (held.includes(p) && !isTakenOver));
          }
        },
      ),
    );
  });

  test('a leaving shard is given nothing, keeps what nobody else has and lets go of what was taken over', () => {
    const active = { state: 'active' as const, ready: [0, 1, 2] };
    const view = viewOf([{ state: 'leaving', ready: [0, 1, 2, 3] }, active]);
    const assignment = assign(view.shards, P);
    const held = [0, 1, 2, 3] as PartitionId[];
    expect([...partitionsToHold(NAMES[0]!, assignment, view, held)]).toEqual([3]);
    expect(partitionsToHold(NAMES[0]!, assignment, view, []).size).toBe(0);
  });

  test('copies never fall below what they were during a planned move, in whatever order shards get ready', () => {
    const p = 5 as PartitionId;
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3),
        fc.shuffledSubarray(NAMES, { minLength: 1 }),
        fc.shuffledSubarray(NAMES, { minLength: 1 }),
        fc.array(fc.nat(3), { maxLength: 20 }),
        (copies, before, after, steps) => {
          const first = assign(before, P, copies).owners(p);
          const assignment = assign(after, P, copies);
          const least = Math.min(first.length, assignment.owners(p).length);
          const ready = new Set<MemberId>(first);
          const view = () =>
            viewOf(
              NAMES.map((id) => ({
                state: after.includes(id) ? 'active' : 'leaving',
                ready: ready.has(id) ? [p] : [],
              })),
            );
          const step = (id: MemberId) => {
            const holds = partitionsToHold(id, assignment, view(), ready.has(id) ? [p] : []);
            if (holds.has(p)) ready.add(id);
            else ready.delete(id);
            expect(ready.size).toBeGreaterThanOrEqual(least);
          };
          for (const each of steps) step(NAMES[each]!);
          for (const id of [...NAMES, ...NAMES]) step(id);
          expect([...ready].sort()).toEqual([...assignment.owners(p)].sort());
        },
      ),
    );
  });

  test('the last shard that leaves keeps everything, for there is nobody to take it', () => {
    const view = viewOf([{ state: 'leaving', ready: [0, 1] }]);
    const held = [0, 1] as PartitionId[];
    expect([...partitionsToHold(NAMES[0]!, assign([], P), view, held)]).toEqual([0, 1]);
  });
});

describe('whom to ask about a partition', () => {
  test('each ready member once, its owners first, then the owners that still catch up', () => {
    fc.assert(
      fc.property(shards, replication, fc.nat(P - 1), (given, copies, number) => {
        const partition = number as PartitionId;
        const view = viewOf(given);
        const assignment = assign(view.shards, P, copies);
        const owners = assignment.owners(partition);
        const { ready, catchingUp } = candidates(partition, assignment, view);
        const isReady = (id: MemberId) => view.members.get(id)!.ready.has(partition);
        expect([...ready].sort()).toEqual([...view.members.keys()].filter(isReady).sort());
        const readyOwners = owners.filter(isReady);
        expect(ready.slice(0, readyOwners.length)).toEqual(readyOwners);
        expect(catchingUp).toEqual(owners.filter((id) => !isReady(id)));
      }),
    );
  });

  test('the old owner of a move answers until the new one is ready', () => {
    const assignment = assign([NAMES[1]!], P);
    const partition = 3 as PartitionId;
    const moving = viewOf([
      { state: 'leaving', ready: [3] },
      { state: 'active', ready: [] },
    ]);
    expect(candidates(partition, assignment, moving)).toEqual({
      ready: ['s1'],
      catchingUp: ['s2'],
    });
  });
});
