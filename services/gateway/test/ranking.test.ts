import type { MemberId, PartitionId } from '@engram/model';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HedgeBudget } from '../src/cluster/hedge-budget.ts';
import { PUSH_BACK_MS, Ranking, REMEMBER_MS } from '../src/cluster/ranking.ts';

const [A, B, C] = ['a', 'b', 'c'] as [MemberId, MemberId, MemberId];
const [P, Q] = [1, 2] as [PartitionId, PartitionId];

/** Draws that differ from call to call and are the same in every run. */
function draws(): () => number {
  let state = 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

/** How often each comes first. */
function firsts(ranking: Ranking, shards: readonly MemberId[], nowMs: number, partition = P) {
  const counts = new Map(shards.map((id) => [id, 0]));
  for (let i = 0; i < 300; i++) {
    const [first] = ranking.order(partition, shards, nowMs);
    counts.set(first!, counts.get(first!)! + 1);
  }
  return shards.map((id) => counts.get(id)!);
}

describe('the order of shards', () => {
  test('has each of them once, whatever was seen', () => {
    const event = fc.record({
      shard: fc.constantFrom(A, B, C),
      partition: fc.constantFrom(P, Q),
      what: fc.constantFrom('answered', 'failed', 'failedFor', 'slow'),
      latencyMs: fc.nat(500),
      lag: fc.nat(10_000),
      afterMs: fc.nat(4_000),
    });
    fc.assert(
      fc.property(fc.array(event), fc.subarray([A, B, C]), (events, shards) => {
        const ranking = new Ranking(draws());
        let now = 0;
        for (const { shard, partition, what, latencyMs, lag, afterMs } of events) {
          now += afterMs;
          if (what === 'answered') ranking.answered(shard, partition, { latencyMs, lag }, now);
          else if (what === 'failed') ranking.failed(shard, now);
          else if (what === 'slow') ranking.slow(shard, latencyMs, now);
          else ranking.failedFor(shard, partition, now);
        }
        expect(ranking.order(P, shards, now).toSorted()).toEqual(shards.toSorted());
      }),
    );
  });

  test('gives equal ones equal parts (K2)', () => {
    const ranking = new Ranking(draws());
    for (const [id, latencyMs] of [
      [A, 10],
      [B, 12],
      [C, 14],
    ] as const)
      ranking.answered(id, P, { latencyMs, lag: 0 }, 0);
    for (const count of firsts(ranking, [A, B, C], 1)) expect(count).toBeGreaterThan(60);
    expect(Math.min(...firsts(new Ranking(draws()), [A, B, C], 1))).toBeGreaterThan(60);
  });

  test('begins with the fast one, until what was seen is old (K3)', () => {
    const ranking = new Ranking(draws());
    ranking.answered(A, P, { latencyMs: 80, lag: 0 }, 0);
    ranking.answered(B, P, { latencyMs: 5, lag: 0 }, 0);
    expect(firsts(ranking, [A, B], 1)).toEqual([0, 300]);
    expect(Math.min(...firsts(ranking, [A, B], REMEMBER_MS + 1))).toBeGreaterThan(100);
  });

  test('one slow answer of many does not decide, and one that is not over counts too', () => {
    const ranking = new Ranking(draws());
    for (let i = 0; i < 30; i++)
      for (const id of [A, B]) ranking.answered(id, P, { latencyMs: 10, lag: 0 }, i);
    ranking.slow(A, 25, 31);
    expect(Math.min(...firsts(ranking, [A, B], 31))).toBeGreaterThan(100);
    for (let i = 0; i < 5; i++) ranking.slow(A, 100, 32);
    expect(firsts(ranking, [A, B], 32)).toEqual([0, 300]);
  });

  test('ends with one that has much of the partition still to apply', () => {
    const ranking = new Ranking(draws());
    ranking.answered(A, P, { latencyMs: 5, lag: 4_000 }, 0);
    ranking.answered(B, P, { latencyMs: 20, lag: 3 }, 0);
    expect(firsts(ranking, [A, B], 1)).toEqual([0, 300]);
    expect(firsts(ranking, [A, B], 1, Q)).toEqual([300, 0]);
  });

  test('ends with one that failed a moment ago, and tries it again after a while (K1)', () => {
    const ranking = new Ranking(draws());
    ranking.answered(B, P, { latencyMs: 900, lag: 9_000 }, 0);
    ranking.failed(A, 0);
    expect(firsts(ranking, [A, B], PUSH_BACK_MS - 1)).toEqual([0, 300]);
    expect(firsts(ranking, [A, B], PUSH_BACK_MS - 1, Q)).toEqual([0, 300]);
    expect(firsts(ranking, [A, B], PUSH_BACK_MS)[0]).toBeGreaterThan(100);
    ranking.failed(A, PUSH_BACK_MS);
    ranking.answered(A, P, { latencyMs: 5, lag: 0 }, PUSH_BACK_MS + 1);
    expect(firsts(ranking, [A, B], PUSH_BACK_MS + 1)[0]).toBe(300);
  });

  test('a failure of one partition says nothing of the others', () => {
    const ranking = new Ranking(draws());
    ranking.failedFor(A, P, 0);
    expect(firsts(ranking, [A, B], 1)).toEqual([0, 300]);
    expect(Math.min(...firsts(ranking, [A, B], 1, Q))).toBeGreaterThan(100);
  });

  test('forgets shards that are no more', () => {
    const ranking = new Ranking(draws());
    for (const id of [A, B, C]) ranking.failed(id, 0);
    ranking.keepOnly((id) => id === B);
    expect(ranking.size).toBe(1);
    expect(firsts(ranking, [A, B], 1)).toEqual([300, 0]);
  });
});

test('hedges are a tenth of the questions, after the first ones', () => {
  const budget = new HedgeBudget();
  let sent = 0;
  while (budget.take()) sent++;
  expect(sent).toBe(20);
  for (let i = 0; i < 1_005; i++) {
    budget.earn();
    if (budget.take()) sent++;
  }
  expect(sent).toBe(120);
});
