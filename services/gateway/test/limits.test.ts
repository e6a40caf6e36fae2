import type { Spending } from '@engram/admission';
import type { ClusterError } from '@engram/model';
import { afterEach, describe, expect, test } from 'vitest';
import { Limits, type Limit, type Scope, type Work } from '../src/admission/limits.ts';

const NONE: Limit = { observationsPerS: 0, readsPerS: 0, requestsMax: 0 };
const open: Limits[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((limits) => limits.close()));
});

interface Given {
  readonly space?: Partial<Limit>;
  readonly caller?: Partial<Limit>;
  readonly own?: Readonly<Record<string, Partial<Limit>>>;
}

function limits({ space = {}, caller = {}, own = {} }: Given) {
  let nowMs = 0;
  const sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];
  const told: Spending[][] = [];
  let answer: (spendings: readonly Spending[]) => Promise<number[]> = (spendings) =>
    Promise.resolve(spendings.map(({ rate, spent }) => rate.burst - spent));
  const common = { space, caller };
  const it = new Limits({
    limitOf: (scope: Scope, name: string) => ({ ...NONE, ...common[scope], ...own[name] }),
    store: {
      spend: (spendings) => {
        told.push([...spendings]);
        return answer(spendings);
      },
    },
    gateways: () => 2,
    onRefused: () => undefined,
    clock: {
      now: () => nowMs,
      wallNow: () => nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          sleepers.push({ atMs: nowMs + ms, wake: resolve });
          signal?.addEventListener('abort', () => resolve());
        }),
    },
    random: () => 0,
    logger: { debug: () => undefined } as never,
  });
  open.push(it);
  const enter = (spaces: readonly string[], work: Work = 'write', name?: string) => {
    try {
      return it.enter({ spaces, caller: name }, work);
    } catch (error) {
      return error as ClusterError;
    }
  };
  return {
    it,
    told,
    enter,
    isOpen: (spaces: readonly string[], work: Work = 'write', name?: string) => {
      const entered = enter(spaces, work, name);
      if (typeof entered !== 'function') return false;
      entered();
      return true;
    },
    answers: (next: typeof answer) => (answer = next),
    pass: async (ms: number) => {
      for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 100) {
        for (const { wake } of sleepers.splice(0)) wake();
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

describe('limits', () => {
  test('are none by default, and nothing is told of them', async () => {
    const { it, isOpen, told, pass } = limits({});
    it.take({ spaces: ['a'], caller: 'me' }, 'write', 1e9);
    expect(isOpen(['a'], 'write', 'me')).toBe(true);
    await pass(300);
    expect(told).toEqual([]);
  });

  test('close a space that had what it may have, and no other one', () => {
    const { it, enter, isOpen } = limits({ space: { observationsPerS: 100 } });
    it.take({ spaces: ['a'], caller: undefined }, 'write', 300);
    expect(enter(['a'])).toMatchObject({
      code: 'RATE_LIMITED',
      status: 429,
      message: 'the space a may have 100 observations a second, and had them',
      details: {
        scope: 'space',
        cause: 'rate',
        retryAfterMs: 2_001,
        batchMax: 100,
        waitHelps: true,
      },
    });
    expect(isOpen(['b'])).toBe(true);
    expect(isOpen(['a'], 'read')).toBe(true);
  });

  test('count reads as they come, for each of their spaces and for the caller', () => {
    const { isOpen } = limits({ space: { readsPerS: 2 }, caller: { readsPerS: 3 } });
    expect(isOpen(['a', 'b'], 'read', 'me')).toBe(true);
    expect(isOpen(['a'], 'read', 'me')).toBe(true);
    expect(isOpen(['a'], 'read', 'you')).toBe(false);
    expect(isOpen(['b'], 'read', 'me')).toBe(true);
    expect(isOpen(['c'], 'read', 'me')).toBe(false);
    expect(isOpen(['c'], 'read', 'you')).toBe(true);
  });

  test('let in so many requests at one time, and the next when one has left', () => {
    const { enter } = limits({ space: { requestsMax: 2 } });
    const first = enter(['a']) as () => void;
    enter(['a'], 'read');
    expect(enter(['a'])).toMatchObject({
      code: 'RATE_LIMITED',
      details: { scope: 'space', cause: 'concurrency', retryAfterMs: 250 },
    });
    first();
    first(); // a request leaves once
    expect(enter(['a'])).toBeTypeOf('function');
    expect(enter(['a'])).toMatchObject({ code: 'RATE_LIMITED' });
    expect(enter(['b'])).toBeTypeOf('function');
  });

  test('of reads do not hint at deletes, which are no reads', () => {
    const { it, enter } = limits({ space: { readsPerS: 1, observationsPerS: 1 } });
    enter(['a'], 'read');
    expect(enter(['a'], 'read')).toMatchObject({ hint: 'ask more slowly' });
    it.take({ spaces: ['a'], caller: undefined }, 'write', 2);
    expect(enter(['a'])).toMatchObject({ hint: 'send more slowly; deletes are always taken' });
  });

  test('a request that is refused counts for nobody', () => {
    const { enter, isOpen } = limits({
      space: { requestsMax: 1, readsPerS: 1 },
      caller: { requestsMax: 1 },
    });
    enter(['a'], 'write', 'me');
    expect(isOpen(['a', 'b'], 'read', 'you')).toBe(false);
    expect(isOpen(['b'], 'read', 'you')).toBe(true);
  });

  test('let one of the requests overdraw that came in together, and not all of them', () => {
    const { it, isOpen } = limits({ space: { observationsPerS: 10 } });
    const asker = { spaces: ['a'], caller: undefined };
    for (let i = 0; i < 8; i++) expect(isOpen(['a'])).toBe(true);
    it.spend(asker, 'write', 5_000);
    for (let i = 0; i < 7; i++)
      expect(() => it.spend(asker, 'write', 5_000)).toThrow('the space a may have 10');
  });

  test('may be others for single spaces and callers', () => {
    const { it, isOpen } = limits({
      space: { observationsPerS: 100 },
      own: { large: { observationsPerS: 10_000 }, free: { observationsPerS: 0 } },
    });
    for (const space of ['a', 'large', 'free'])
      it.take({ spaces: [space], caller: undefined }, 'write', 1_000);
    expect(isOpen(['a'])).toBe(false);
    expect(isOpen(['large'])).toBe(true);
    expect(isOpen(['free'])).toBe(true);
  });

  test('hold over all gateways: what others took closes a space here', async () => {
    const { it, isOpen, answers, told, pass } = limits({ space: { observationsPerS: 100 } });
    answers((spendings) => Promise.resolve(spendings.map(() => -50)));
    it.take({ spaces: ['a'], caller: undefined }, 'write', 1);
    expect(isOpen(['a'])).toBe(true);
    await pass(200);
    expect(told[0]).toEqual([
      { name: 'space:write:a', rate: { perSecond: 100, burst: 100 }, spent: 1 },
    ]);
    expect(isOpen(['a'])).toBe(false);
  });

  test('without Redis go on, each gateway with its part of the rate', async () => {
    const { it, enter, answers, pass } = limits({ space: { observationsPerS: 100 } });
    answers(() => Promise.reject(new Error('away')));
    it.take({ spaces: ['a'], caller: undefined }, 'write', 1_100);
    const before = enter(['a']) as ClusterError;
    expect(before.details['retryAfterMs']).toBe(10_001);
    await pass(2_000);
    const refused = enter(['a']) as ClusterError;
    expect(refused.details['retryAfterMs']).toBeGreaterThan(15_000);
  });
});
