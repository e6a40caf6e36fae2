import { setTimeout as pause } from 'node:timers/promises';
import { ClusterError, type Observation } from '@engram/model';
import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { ConnectionError, ProducerFailure, type Acknowledged } from '../src/index.ts';
import { BatchSize } from '../src/producer/batch-size.ts';
import { Producer } from '../src/producer/producer.ts';
import type { Put } from '../src/producer/delivery.ts';
import type { PutResult } from '../src/types.ts';

type Answer = (nth: number, ids: string[]) => Promise<void> | PutResult | void;

/** A cluster that keeps the last write of each id, and says what a test says first. */
class FakeCluster {
  readonly stored = new Map<string, number>();
  readonly sizes: number[] = [];
  readonly keys: string[] = [];
  underWay = 0;
  mostUnderWay = 0;
  #count = 0;

  readonly #answer: Answer;

  constructor(answer: Answer = () => undefined) {
    this.#answer = answer;
  }

  readonly put: Put = async (observations, { requestId, signal }) => {
    const nth = ++this.#count;
    this.sizes.push(observations.length);
    this.keys.push(requestId ?? '');
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    try {
      const told = await this.#answer(
        nth,
        observations.map(({ id }) => id),
      );
      signal?.throwIfAborted();
      if (told !== undefined) return told;
      for (const { id, timestamp } of observations) this.stored.set(id, timestamp ?? 0);
      return accepted(observations.length, `1-0.${nth}.0`);
    } finally {
      this.underWay--;
    }
  };
}

function accepted(count: number, position: string): PutResult {
  return {
    accepted: count,
    rejected: 0,
    position,
    ack: 'logged',
    errors: [],
    errorsTruncated: false,
  };
}

function refusal(batchMax: number): ClusterError {
  const details = { retryAfterMs: 1, batchMax };
  return new ClusterError('BACKPRESSURE', 'slowly', { details });
}

function* observations(count: number, idOf = (i: number) => `o${i}`): Generator<Observation> {
  for (let i = 0; i < count; i++) yield { id: idOf(i), embedding: [i, 1], timestamp: i };
}

const random = () => 0;

describe('batches', () => {
  test('are cut by count and by bytes, and acknowledged in order', async () => {
    const cluster = new FakeCluster((nth) => pause(nth % 2 === 0 ? 0 : 5));
    await using producer = new Producer(cluster.put, { maxBatchCount: 10, lingerMs: 5 });
    const acks: Acknowledged[] = [];
    for await (const ack of producer.from(observations(95))) acks.push(ack);
    expect(acks.map((ack) => ack.accepted)).toEqual([...Array<number>(9).fill(10), 5]);
    expect(acks.map((ack) => ack.position)).toEqual(cluster.sizes.map((_, i) => `1-0.${i + 1}.0`));
    expect(cluster.stored.size).toBe(95);
    const byBytes = new FakeCluster();
    const small = new Producer(byBytes.put, { maxBatchBytes: 200, lingerMs: 5 });
    for (const each of observations(9)) await small.write(each);
    expect(await small.close()).toMatchObject({ accepted: 9, rejected: 0 });
    expect(Math.max(...byBytes.sizes)).toBeLessThan(6);
  });

  test('go after lingerMs though they are not full', async () => {
    const cluster = new FakeCluster();
    await using producer = new Producer(cluster.put, { lingerMs: 5 });
    await producer.write({ id: 'a', embedding: [1] });
    while (cluster.stored.size === 0) await pause(1);
    expect(cluster.sizes).toEqual([1]);
  });

  test('have their own copy of an embedding', async () => {
    let seen: unknown;
    await using producer = new Producer(
      (given) => {
        seen = given[0]?.embedding;
        return Promise.resolve(accepted(1, '1-0.1.0'));
      },
      { lingerMs: 1 },
    );
    const embedding = Float32Array.of(1, 2);
    await producer.write({ id: 'a', embedding });
    embedding.fill(0);
    await producer.flush();
    expect(seen).toEqual(Float32Array.of(1, 2));
  });
});

describe('a cluster that refuses', () => {
  test('makes batches smaller at once, and larger again step by step', () => {
    const size = new BatchSize(100);
    size.refused();
    expect(size.value).toBe(50);
    size.refused(7);
    expect(size.value).toBe(7);
    size.taken(3);
    expect(size.value).toBe(7);
    size.taken(7);
    expect(size.value).toBe(12);
    for (let i = 0; i < 100; i++) size.taken(size.value);
    expect(size.value).toBe(100);
    for (let i = 0; i < 100; i++) size.refused();
    expect(size.value).toBe(1);
  });

  test('gets what it takes, and everything in the end', async () => {
    const cluster = new FakeCluster((nth, ids) => {
      if (ids.length > 4) throw refusal(4);
      if (nth % 7 === 0) throw new ConnectionError('unreachable', [], undefined);
    });
    const producer = new Producer(cluster.put, { maxBatchCount: 50, random });
    for (const each of observations(200)) await producer.write(each);
    expect(await producer.close()).toMatchObject({ accepted: 200 });
    expect(cluster.stored.size).toBe(200);
  });

  test('is asked again with the same key where an answer was lost, and not by others meanwhile', async () => {
    const cluster = new FakeCluster((nth) => {
      if (nth <= 3) throw new ConnectionError('timeout', [], undefined);
    });
    const producer = new Producer(cluster.put, { maxBatchCount: 1, maxInFlight: 1, random });
    for (const each of observations(3)) await producer.write(each);
    await producer.close();
    expect(new Set(cluster.keys.slice(0, 4)).size).toBe(1);
    expect(new Set(cluster.keys).size).toBe(3);
  });

  test('slows who writes: no more waits than the bounds allow', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const cluster = new FakeCluster(() => held);
    const producer = new Producer(cluster.put, {
      maxBatchBytes: 1_000,
      maxInFlight: 2,
      lingerMs: 1,
    });
    let taken = 0;
    const writing = (async () => {
      for (const each of observations(1_000)) {
        await producer.write(each);
        taken++;
      }
    })();
    let before = -1;
    while (before !== taken) {
      before = taken;
      await pause(30);
    }
    // Each has at least 40 bytes, and 4,000 may wait.
    expect(taken).toBeLessThanOrEqual(100);
    expect(cluster.mostUnderWay).toBe(2);
    release();
    await writing;
    expect(await producer.close()).toMatchObject({ accepted: 1_000 });
  });

  test('makes it fail once it was refused for too long, with all that is not stored', async () => {
    const cluster = new FakeCluster(() => {
      throw refusal(1);
    });
    const producer = new Producer(cluster.put, { maxBatchCount: 2, retryForMs: 20, random });
    const failure: unknown = await (async () => {
      for (const each of observations(5)) await producer.write(each);
      await producer.close();
    })().catch(() => producer.close().catch((error: unknown) => error));
    expect(failure).toBeInstanceOf(ProducerFailure);
    const { unsent, cause } = failure as ProducerFailure;
    expect(cause).toMatchObject({ code: 'BACKPRESSURE' });
    expect(unsent.map(({ id }) => id).toSorted()).toEqual(['o0', 'o1', 'o2', 'o3', 'o4']);
  });
});

describe('observations that are refused for good', () => {
  const answer = (_nth: number, ids: string[]): PutResult => {
    const bad = ids.flatMap((id, index) => (id === 'o3' ? [index] : []));
    return {
      ...accepted(ids.length - bad.length, '1-0.1.0'),
      rejected: bad.length,
      errors: bad.map((index) => ({ index, code: 'INVALID_EMBEDDING', detail: 'bad' })),
    };
  };

  test('make the producer fail, and are named', async () => {
    const producer = new Producer(new FakeCluster(answer).put, { maxBatchCount: 5, lingerMs: 1 });
    const acks: Acknowledged[] = [];
    const failure: unknown = await (async () => {
      for await (const ack of producer.from(observations(100))) acks.push(ack);
    })().catch((error: unknown) => error);
    const { rejected, unsent } = failure as ProducerFailure;
    expect(rejected).toMatchObject([
      { observation: { id: 'o3' }, error: { code: 'INVALID_EMBEDDING' } },
    ]);
    expect(acks.length * 5 + unsent.length).toBeLessThanOrEqual(100);
    await expect(producer.write({ id: 'late', embedding: [1] })).rejects.toBe(failure);
    await expect(producer.close()).rejects.toBe(failure);
  });

  test('are handed over where somebody takes them', async () => {
    const taken: string[] = [];
    const producer = new Producer(new FakeCluster(answer).put, {
      maxBatchCount: 5,
      onRejected: (rejected) => taken.push(...rejected.map(({ observation }) => observation.id)),
    });
    for (const each of observations(12)) await producer.write(each);
    expect(await producer.close()).toMatchObject({ accepted: 11, rejected: 1 });
    expect(taken).toEqual(['o3']);
  });
});

describe('the end', () => {
  test('an abort ends the loop over a source that has gone silent', async () => {
    const stop = new AbortController();
    const cluster = new FakeCluster();
    const producer = new Producer(cluster.put, { signal: stop.signal, lingerMs: 1 });
    async function* source(): AsyncGenerator<Observation> {
      yield { id: 'only', embedding: [1] };
      await new Promise(() => undefined);
    }
    const reading = (async () => {
      for await (const { accepted } of producer.from(source())) {
        expect(accepted).toBe(1);
        stop.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
  });

  test('a refusal for hours is waited for no longer than the producer is patient', async () => {
    const cluster = new FakeCluster(() => {
      throw new ClusterError('BACKPRESSURE', 'later', { details: { retryAfterMs: 1e305 } });
    });
    const producer = new Producer(cluster.put, { retryForMs: 50, lingerMs: 1, random: () => 0 });
    await producer.write({ id: 'a', embedding: [1] });
    await expect(producer.close()).rejects.toThrow('later');
    expect(cluster.sizes.length).toBeLessThan(10);
  });

  test('an abort ends waits and tries, with its reason', async () => {
    const stop = new AbortController();
    const cluster = new FakeCluster(() => {
      throw new ClusterError('BACKPRESSURE', 'slowly', { details: { retryAfterMs: 60_000 } });
    });
    const producer = new Producer(cluster.put, { signal: stop.signal, lingerMs: 1 });
    await producer.write({ id: 'a', embedding: [1] });
    while (cluster.sizes.length === 0) await pause(1);
    const reason = new Error('enough');
    stop.abort(reason);
    const failure: unknown = await producer.close().catch((error: unknown) => error);
    expect(failure).toMatchObject({ cause: reason, unsent: [{ id: 'a' }] });
  });

  test('leaving the loop stops reading the source', async () => {
    let read = 0;
    const source = (function* () {
      try {
        for (const each of observations(1e9)) {
          read++;
          yield each;
        }
      } finally {
        read = -1;
      }
    })();
    const cluster = new FakeCluster();
    const producer = new Producer(cluster.put, { maxBatchCount: 3, lingerMs: 1 });
    for await (const ack of producer.from(source)) if (ack.accepted > 0) break;
    while (read !== -1) await pause(1);
    const { accepted: stored } = await producer.close();
    expect(stored).toBe(cluster.stored.size);
    await expect(producer.write({ id: 'late', embedding: [1] })).rejects.toThrow(/closed/);
  });

  test('an error of the source is thrown, after what it gave is written', async () => {
    const cluster = new FakeCluster();
    const producer = new Producer(cluster.put, { lingerMs: 1 });
    const source = (function* () {
      yield* observations(3);
      throw new Error('no more');
    })();
    const acks: Acknowledged[] = [];
    const reading = (async () => {
      for await (const ack of producer.from(source)) acks.push(ack);
    })();
    await expect(reading).rejects.toThrow('no more');
    expect(acks).toMatchObject([{ accepted: 3 }]);
    expect(await producer.close()).toMatchObject({ accepted: 3 });
  });
});

test('whatever is refused, lost or slow, the last write of each id wins and nothing is missing', async () => {
  const nature = fc.record({
    ids: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 120 }),
    faults: fc.array(fc.constantFrom('ok', 'slow', 'refused', 'lost', 'stored and lost'), {
      maxLength: 30,
    }),
    maxBatchCount: fc.integer({ min: 1, max: 9 }),
    maxInFlight: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(nature, async ({ ids, faults, maxBatchCount, maxInFlight }) => {
      const cluster = new FakeCluster(async (nth) => {
        const fault = faults[nth - 1] ?? 'ok';
        if (fault === 'slow') await pause(1);
        if (fault === 'refused') throw refusal(2);
        if (fault === 'lost') throw new ConnectionError('timeout', [], undefined);
      });
      const put: Put = async (given, options) => {
        const result = await cluster.put(given, options);
        if (faults[cluster.sizes.length - 1] === 'stored and lost')
          throw new ConnectionError('timeout', [], undefined);
        return result;
      };
      const producer = new Producer(put, { maxBatchCount, maxInFlight, lingerMs: 0, random });
      for (const each of observations(ids.length, (i) => `o${ids[i]}`)) await producer.write(each);
      const { accepted: stored } = await producer.close();
      expect(stored).toBe(ids.length);
      const last = new Map(ids.map((id, i) => [`o${id}`, i]));
      expect(new Map([...cluster.stored].toSorted())).toEqual(new Map([...last].toSorted()));
    }),
    { numRuns: 60 },
  );
});
