import type { WireHit } from '@engram/codec';
import { ClusterError, perLane, type SpaceConfig, type SpaceId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { NO_TRACING } from '@engram/tracing';
import { describe, expect, test } from 'vitest';
import { shardMetrics } from '../src/metrics.ts';
import { until } from '../../../test/support/until.ts';
import { rpcMethods, type MethodsOptions } from '../src/serve/rpc-methods.ts';

const CONFIG: SpaceConfig = {
  space: 'tenant' as SpaceId,
  dimension: 2,
  metric: 'cosine',
  engine: 'usearch',
  quantization: 'i8',
  m: 16,
  efConstruction: 64,
  afterSequence: 0,
  createdAt: '2026-01-01T00:00:00.000Z',
};
const PARTITIONS = 1;
const WATERMARK = '0-7.7.7';

/** A shard that holds its only partition, and whose worker answers when it is told to. */
class Shard {
  holding: { failure?: ClusterError } | undefined = {};
  applied = 7;
  isReady = true;
  readonly #answers: (() => void)[] = [];
  readonly methods = rpcMethods(this.#options());

  /** What waits in the worker is answered, with nothing: its space has left. */
  answer(): void {
    for (const each of this.#answers.splice(0)) each();
  }

  /** As when a lease had run out, or another shard is ready. */
  release(): void {
    this.holding = undefined;
    this.applied = 0;
    this.isReady = false;
  }

  takeAgain(): void {
    this.holding = {};
  }

  #later<T>(value: T): Promise<T> {
    return new Promise((resolve) => this.#answers.push(() => resolve(value)));
  }

  #options(): MethodsOptions {
    const page = () => this.#later<{ hits: readonly WireHit[] }>({ hits: [] });
    return {
      partitionCount: PARTITIONS,
      reader: {
        holding: () => this.holding,
        isReady: () => this.isReady,
        applied: (partition) => ({ partition, sequences: perLane(() => this.applied) }),
        waitFor: () => Promise.resolve(true),
        pending: () => 0,
        lag: () => 0,
        replays: [],
        inFlight: () => 0,
        replayPending: 0,
        replayCount: 0,
        held: [],
        ready: new Set(),
      },
      flow: perLane(() => ({ applied: 0 })),
      storage: { fault: undefined },
      engine: {
        recallBytes: () => this.#later([]),
        get: () => this.#later(undefined),
        stats: () =>
          this.#later({
            count: 0,
            indexed: 0,
            bytes: 0,
            mappedBytes: 0,
            diskBytes: 0,
            tombstones: 0,
            segments: 0,
          }),
        workers: 1,
        indexed: () => this.#later(undefined),
        refresh: () => Promise.reject(new Error('nobody asks')),
        streams: {
          open: page,
          openIds: page,
          next: page,
          keep: () => undefined,
          close: () => undefined,
        },
      },
      sampler: { offer: () => undefined },
      metrics: shardMetrics('test'),
      tracing: NO_TRACING,
      clock: systemClock,
    };
  }
}

const recall = { config: CONFIG, embedding: new Uint8Array(8), k: 1, include: [], waitMs: 0 };
const QUESTIONS = [
  ['recall', recall],
  ['recall', { ...recall, stream: true }],
  ['get', { config: CONFIG, id: 'a', waitMs: 0 }],
  ['stats', { config: CONFIG }],
] as const;

describe.each(QUESTIONS)('%s', (method, question) => {
  test('tells how far the partition was applied before the worker was asked', async () => {
    const shard = new Shard();
    const answer = shard.methods[method](question);
    shard.applied = 9;
    shard.answer();
    expect(await answer).toMatchObject({ watermark: WATERMARK, isReady: true });
  });

  test('symptom: what a shard had just let go was answered as empty and complete', async () => {
    const shard = new Shard();
    const answer = shard.methods[method](question);
    shard.release();
    shard.answer();
    await expect(answer).rejects.toMatchObject({ code: 'NOT_OWNER' });
  });

  test('symptom: what could not be brought in was answered as empty and still being read', async () => {
    const shard = new Shard();
    const hint = 'bring the blobs back';
    const failure = new ClusterError('CHECKPOINT_DAMAGED', 'no checkpoint has it', { hint });
    shard.holding = { failure };
    await expect(shard.methods[method](question)).rejects.toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
      message: 'not served: no checkpoint has it',
      hint,
      details: { partition: 0 },
    });
  });

  test('promises nothing where the partition was let go and taken again meanwhile', async () => {
    const shard = new Shard();
    const answer = shard.methods[method](question);
    shard.release();
    shard.takeAgain();
    shard.answer();
    expect(await answer).toMatchObject({ watermark: '0-0.0.0', isReady: false });
  });
});

test('a read at a position is not answered from a partition that was taken again meanwhile', async () => {
  const shard = new Shard();
  const answers = [
    shard.methods.recall({ ...recall, minPosition: WATERMARK }),
    shard.methods.recall({ ...recall, asOf: WATERMARK }),
    shard.methods.get({ config: CONFIG, id: 'a', waitMs: 0, minPosition: WATERMARK }),
  ];
  const outcomes = Promise.allSettled(answers);
  // They wait for the position first.
  await new Promise(setImmediate);
  shard.release();
  shard.takeAgain();
  shard.answer();
  for (const outcome of await outcomes)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'NOT_OWNER' } });
});

const COMPARISONS = [
  ['ids', { config: CONFIG, minPosition: '0-0.0.0', waitMs: 5_000, asOf: 7 }],
  ['get', { config: CONFIG, id: 'a', waitMs: 5_000, needsReady: true }],
] as const;

describe.each(COMPARISONS)('%s for a verification', (method, question) => {
  test('waits until all that is stored of the partition is there', async () => {
    const shard = new Shard();
    shard.isReady = false;
    const answer = shard.methods[method](question);
    await new Promise(setImmediate);
    shard.answer();
    shard.isReady = true;
    let isAnswered = false;
    void answer.then(() => (isAnswered = true));
    await until('it is answered', () => {
      shard.answer();
      return isAnswered;
    });
    expect(await answer).toMatchObject({ isReady: true });
  });

  test('symptom: ids were called missing that were still being brought in', async () => {
    const shard = new Shard();
    shard.isReady = false;
    await expect(shard.methods[method]({ ...question, waitMs: 0 })).rejects.toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
      details: { partition: 0 },
    });
  });
});
