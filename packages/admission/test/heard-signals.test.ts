import type { MemberId } from '@engram/model';
import { describe, expect, test } from 'vitest';
import { HeardSignals } from '../src/heard-signals.ts';
import type { ShardSignal } from '../src/signal.ts';

const TTL_MS = 3_000;
const one = 'shard-1' as MemberId;
const two = 'shard-2' as MemberId;

const said = (member: MemberId, count: number, startedAt = 1) =>
  ({ member, startedAt, count }) as ShardSignal;

describe('signals that were heard', () => {
  test('count by when they were made, not by when they came', () => {
    const heard = new HeardSignals(TTL_MS);
    heard.take(said(one, 2), 0);
    heard.take(said(one, 1), 1);
    heard.take(said(two, 1), 1);
    expect(heard.of(one, 1)?.count).toBe(2);
    expect(heard.of(two, 1)?.count).toBe(1);
    heard.take(said(one, 1, 2), 2); // a new process
    expect(heard.of(one, 2)).toEqual(said(one, 1, 2));
  });

  test('count for as long as they may, which one that came twice does not lengthen', () => {
    const heard = new HeardSignals(TTL_MS);
    heard.take(said(one, 1), 0);
    heard.take(said(one, 1), 1_000);
    expect(heard.of(one, TTL_MS)?.count).toBe(1);
    expect(heard.of(one, TTL_MS + 1)).toBeUndefined();
  });

  test('do not silence their shard for good by a number beyond all others', () => {
    const heard = new HeardSignals(TTL_MS);
    heard.take(said(one, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), 0);
    heard.take(said(one, 7), TTL_MS);
    expect(heard.of(one, TTL_MS)?.count).toBe(Number.MAX_SAFE_INTEGER);
    heard.take(said(one, 8), TTL_MS + 1);
    expect(heard.of(one, TTL_MS + 1)?.count).toBe(8);
  });

  test('are forgotten once they expired, and no sooner', () => {
    const heard = new HeardSignals(TTL_MS);
    heard.take(said(one, 1), 0);
    heard.take(said(two, 1), 1);
    heard.expire(TTL_MS);
    expect(heard.members).toEqual([one, two]);
    heard.expire(TTL_MS + 1);
    expect(heard.members).toEqual([two]);
    expect([heard.has(one), heard.has(two), heard.size]).toEqual([false, true, 1]);
  });
});
