import { ClusterError, type ErrorCode, type MemberId } from '@engram/model';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SimClock, turn } from '../../../packages/partition/test/sim-clock.ts';
import { firstGood, type Outcome } from '../src/cluster/first-good.ts';

interface Scripted {
  readonly kind: Outcome<string>['kind'];
  readonly afterMs: number;
  readonly isTold?: boolean;
}

const HEDGE_MS = 100;

/** Asks shards that answer as they are told to, named by their place, and runs until all have. */
async function run(
  scripts: readonly Scripted[],
  { readyCount = scripts.length, isHedging = true, hedges = 1 } = {},
) {
  const clock = new SimClock();
  const asked: { readonly shard: string; readonly atMs: number }[] = [];
  const unused: string[] = [];
  let running = 0;
  let atOnce = 0;
  let endedAtMs = -1;
  const result = firstGood<string>({
    shards: scripts.map((_, i) => String(i) as MemberId),
    readyCount,
    hedgeAfterMs: isHedging ? HEDGE_MS : undefined,
    clock,
    mayHedge: () => hedges-- > 0,
    ask: async (shard, place) => {
      asked.push({ shard, atMs: clock.now() });
      atOnce = Math.max(atOnce, ++running);
      const { kind, afterMs, isTold = false } = scripts[place]!;
      await clock.sleep(afterMs);
      running--;
      if (kind === 'good' || kind === 'poor') return { kind, reply: `${kind} ${shard}` };
      const code: ErrorCode = kind === 'refused' ? 'INVALID_FILTER' : 'PARTITION_UNAVAILABLE';
      const error = new ClusterError(code, shard);
      return kind === 'refused' ? { kind, error } : { kind, error, isTold };
    },
    onUnused: (_, reply) => unused.push(reply),
  })
    .catch((error: unknown) => error as ClusterError)
    .finally(() => (endedAtMs = clock.now()));
  for (let quiet = 0; quiet < 3; quiet++) {
    await turn();
    if (clock.sleeping === 0) continue;
    quiet = -1;
    clock.advance(10);
  }
  return { result: await result, asked, unused, atOnce, endedAtMs };
}

const good = (afterMs: number): Scripted => ({ kind: 'good', afterMs });
const failed = (afterMs: number, isTold = false): Scripted => ({ kind: 'failed', afterMs, isTold });
const poor = (afterMs: number): Scripted => ({ kind: 'poor', afterMs });

test('a good answer in time is the result, and nobody else is asked', async () => {
  const { result, asked, endedAtMs } = await run([good(90), good(0)]);
  expect(result).toMatchObject({ shard: '0', isHedge: false, overtaken: [] });
  expect([asked.length, endedAtMs]).toEqual([1, 90]);
});

test('silence is hedged, the first good answer wins, and the other one is handed over', async () => {
  const { result, asked, unused, endedAtMs } = await run([good(500), good(50), good(0)]);
  expect(result).toMatchObject({ shard: '1', isHedge: true, overtaken: ['0'] });
  expect(asked).toEqual([
    { shard: '0', atMs: 0 },
    { shard: '1', atMs: HEDGE_MS },
  ]);
  expect([endedAtMs, unused]).toEqual([150, ['good 0']]);
  const late = await run([good(120), good(50)]);
  expect(late.result).toMatchObject({ shard: '0', isHedge: false, overtaken: ['1'] });
});

test('nothing is hedged where that is off, not allowed now, or the next one is not ready', async () => {
  for (const options of [{ isHedging: false }, { hedges: 0 }, { readyCount: 1 }]) {
    const { result, asked, endedAtMs } = await run([good(500), good(0)], options);
    expect(result).toMatchObject({ shard: '0' });
    expect([asked.length, endedAtMs]).toEqual([1, 500]);
  }
});

test('a failure falls over to the next one, also to one that is not ready', async () => {
  const { result, asked } = await run([failed(10), failed(20), poor(5)], { readyCount: 2 });
  expect(result).toMatchObject({ shard: '2', reply: 'poor 2', isHedge: false });
  expect(asked.map(({ atMs }) => atMs)).toEqual([0, 10, 30]);
});

test('what a ready one lacks is not asked of one that is not ready', async () => {
  const { result, asked } = await run([failed(10, true), failed(0), good(0)], { readyCount: 2 });
  expect((result as ClusterError[]).map(({ message }) => message)).toEqual(['0', '1']);
  expect(asked).toHaveLength(2);
});

test('a poor answer is bettered by another ready one, and else it is the result', async () => {
  const bettered = await run([poor(10), good(10)]);
  expect(bettered.result).toMatchObject({ shard: '1', reply: 'good 1' });
  expect(bettered.unused).toEqual(['poor 0']);
  const kept = await run([poor(10), failed(10), good(0)], { readyCount: 2 });
  expect(kept.result).toMatchObject({ shard: '0', reply: 'poor 0' });
  expect([kept.asked.length, kept.unused]).toEqual([2, []]);
});

test('what every shard would refuse is refused at once', async () => {
  const { result, asked } = await run([{ kind: 'refused', afterMs: 10 }, good(0)]);
  expect(result).toMatchObject({ code: 'INVALID_FILTER' });
  expect(asked).toHaveLength(1);
});

test('for all answers: a good one of a ready shard is never missed (H1), two at most are asked at once (H2), and none is lost (H3)', async () => {
  const script = fc.record({
    kind: fc.constantFrom('good' as const, 'poor' as const, 'failed' as const),
    afterMs: fc.integer({ min: 0, max: 40 }).map((n) => n * 10),
    isTold: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(script, { maxLength: 4 }), fc.nat(4), async (scripts, ready) => {
      const readyCount = Math.min(ready, scripts.length);
      const { result, asked, unused, atOnce } = await run(scripts, { readyCount });
      expect(atOnce).toBeLessThanOrEqual(2);
      const answers = asked
        .map(({ shard }) => scripts[Number(shard)]!.kind + ' ' + shard)
        .filter((answer) => !answer.startsWith('failed'));
      const used = Array.isArray(result) ? [] : [(result as { reply: string }).reply];
      expect([...used, ...unused].sort()).toEqual(answers.sort());
      const isGood = ({ kind }: Scripted) => kind === 'good';
      if (scripts.slice(0, readyCount).some(isGood)) expect(used[0]).toMatch(/^good/);
      if (used.length === 0) expect(answers).toEqual([]);
    }),
  );
});
