import type { WireHit } from '@engram/codec';
import type { RecallTask } from '@engram/engine';
import { MetricsRegistry, type Counter } from '@engram/metrics';
import { parseSpaceId, type SpaceConfig } from '@engram/model';
import type { Clock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { expect, test } from 'vitest';
import { RecallSampler } from '../src/serve/recall-sampler.ts';

const hits = (...scores: number[]): WireHit[] =>
  scores.map((score, i) => ({ id: `${score} ${i}`, score }));

function task(metric: SpaceConfig['metric'], more: Partial<RecallTask> = {}): RecallTask {
  const config = { space: parseSpaceId('notes'), metric, dimension: 2 } as SpaceConfig;
  return { config, embedding: new Uint8Array(8), k: 3, include: ['metadata'], ...more };
}

class Sampling {
  nowMs = 0;
  isCalm = true;
  exact: () => Promise<readonly WireHit[]> = () => Promise.resolve([]);
  readonly asked: RecallTask[] = [];
  readonly #counters: Record<'recalls' | 'wanted' | 'found', Counter>;
  readonly sampler: RecallSampler;

  constructor(everyMs = 10) {
    const registry = new MetricsRegistry('shard', 'test');
    const counter = (name: string) => registry.counter(name, name);
    this.#counters = { recalls: counter('a'), wanted: counter('b'), found: counter('c') };
    this.sampler = new RecallSampler({
      everyMs,
      engine: {
        recallBytes: (asked) => {
          this.asked.push(asked);
          return this.exact();
        },
      },
      isCalm: () => this.isCalm,
      ...this.#counters,
      clock: { now: () => this.nowMs } as Clock,
      logger: createLogger('shard', 'test', 'silent'),
    });
  }

  async counts(): Promise<number[]> {
    await this.sampler.settled();
    const { recalls, wanted, found } = this.#counters;
    const values = await Promise.all([recalls, wanted, found].map((each) => each.get()));
    return values.map(({ values: [first] }) => first?.value ?? 0);
  }
}

test.each<[SpaceConfig['metric'], WireHit[], WireHit[], number]>([
  ['cosine', hits(0.9, 0.8, 0.7), hits(0.9, 0.8, 0.7), 3],
  ['cosine', hits(0.9, 0.7, 0.6), hits(0.9, 0.8, 0.7), 2],
  ['l2', hits(1, 3, 5), hits(1, 2, 3), 2],
  // As near as the last one is as good, and no more is found than is wanted.
  ['ip', hits(2, 1, 1, 1), hits(2, 1, 1), 3],
])('%s: what graphs found of what is nearest is counted', async (metric, found, right, count) => {
  const sampling = new Sampling();
  sampling.exact = () => Promise.resolve(right);
  sampling.nowMs = 10;
  sampling.sampler.offer(task(metric), found);
  expect(await sampling.counts()).toEqual([1, 3, count]);
  expect(sampling.asked).toMatchObject([{ exact: true, k: 3, include: [] }]);
});

test('one is compared at a time, not oftener than wanted, and none while the shard is pressed', async () => {
  const sampling = new Sampling();
  let answer = (): void => undefined;
  sampling.exact = () => new Promise((resolve) => (answer = () => resolve(hits(1))));
  const offer = (atMs: number, more: Partial<RecallTask> = {}) => {
    sampling.nowMs = atMs;
    sampling.sampler.offer(task('cosine', more), hits(1));
    return sampling.asked.length;
  };
  expect(offer(9)).toBe(0);
  expect(offer(10, { exact: true })).toBe(0);
  sampling.isCalm = false;
  expect(offer(10)).toBe(0);
  sampling.isCalm = true;
  expect(offer(10)).toBe(1);
  expect(offer(30)).toBe(1);
  answer();
  await sampling.sampler.settled();
  expect(offer(30)).toBe(2);
  answer();
  expect(await sampling.counts()).toEqual([2, 2, 2]);
});

test('a space that is gone costs nothing, and 0 turns it off', async () => {
  const sampling = new Sampling();
  sampling.exact = () => Promise.reject(new Error('gone'));
  sampling.nowMs = 10;
  sampling.sampler.offer(task('cosine'), hits(1));
  expect(await sampling.counts()).toEqual([0, 0, 0]);
  const off = new Sampling(0);
  off.nowMs = 1_000;
  off.sampler.offer(task('cosine'), hits(1));
  expect(off.asked).toEqual([]);
});
