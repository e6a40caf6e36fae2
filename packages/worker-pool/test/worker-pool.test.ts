import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ERRORS, LANES, perLane, type ClusterError, type Lane } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Cost } from '../src/lane-queues.ts';
import { WorkerPool, type NewTask, type PoolOptions } from '../src/worker-pool.ts';
import type { Outcome } from '../src/worker-slot.ts';
import { until } from './until.ts';

const fixture = (name: string) => new URL(`./fixtures/${name}.mjs`, import.meta.url);

type How = 'good' | 'hold' | 'exit' | 'throw' | 'memory' | 'refuse';
interface Body {
  readonly n: number;
  readonly how: How;
}
interface Answer {
  readonly n: number;
  readonly threadId: number;
  readonly start: number;
}

interface Events {
  readonly crashes: {
    readonly worker: number;
    readonly error: ClusterError;
    readonly inFlight: number;
  }[];
  readonly restarted: number[];
  readonly failures: ClusterError[];
}

async function start(options: Partial<PoolOptions> = {}) {
  const events: Events = { crashes: [], restarted: [], failures: [] };
  const pool = await WorkerPool.start<Body, Answer>({
    entry: fixture('working'),
    readyTimeoutMs: 20_000,
    count: 1,
    lanes: perLane(() => ({ observations: 1_000, bytes: 1_000_000 })),
    minBatch: 2,
    maxBatch: 5,
    clock: systemClock,
    onCrash: (crash) => events.crashes.push(crash),
    onRestarted: (worker) => events.restarted.push(worker),
    onFailed: (error) => events.failures.push(error),
    ...options,
  });
  onTestFinished(() => pool.close());
  return { pool, events };
}

const taskOf = (
  n: number,
  how: How,
  {
    key = 'a',
    lane = 'normal',
    cost = { observations: 1, bytes: 10 },
  }: Partial<NewTask<Body>> = {},
) => ({ key, lane, cost, body: { n, how } });

async function codeOf(failing: Promise<unknown> | undefined): Promise<string | undefined> {
  try {
    await failing;
    return undefined;
  } catch (error) {
    return (error as ClusterError).code;
  }
}

describe('a pool', () => {
  test.each(['missing', 'ending'])('does not start with an entry that is %s', async (name) => {
    await expect(start({ entry: fixture(name), count: 2 })).rejects.toThrow();
  });

  test('symptom: the owner was told of a thread that ended before it had the pool', async () => {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const told: string[] = [];
    let starts = 0;
    const starting = start({
      count: 2,
      workerData: (worker) => {
        if (worker === 1) return { gate };
        // Asked for again: its first end has been seen.
        if (starts++ > 0) {
          Atomics.store(gate, 0, 1);
          Atomics.notify(gate, 0);
        }
        return starts === 1 ? { dyingFrom: 0, dying: 'later' } : {};
      },
      onCrash: () => told.push('crash'),
      onRestarted: () => told.push('restarted'),
    });
    await expect(starting).rejects.toThrow(/ended/);
    expect(told).toEqual([]);
  });

  test('gives the work of one key to one thread, uses them all, and asks each', async () => {
    const { pool } = await start({ count: 3 });
    const keys = Array.from({ length: 60 }, (_, n) => `space-${n % 30}`);
    const outcomes = await Promise.all(
      keys.map((key, n) => pool.submit(taskOf(n, 'good', { key }))!),
    );
    const threads = new Map<string, Set<number>>();
    outcomes.forEach((outcome, n) => {
      if (outcome.kind !== 'answered') throw new Error('it is not answered');
      expect(outcome.answer.n).toBe(n);
      const seen = threads.get(keys[n]!) ?? new Set();
      threads.set(keys[n]!, seen.add(outcome.answer.threadId));
    });
    expect([...threads.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set([...threads.values()].flatMap((ids) => [...ids])).size).toBe(3);
    for (const key of keys) {
      const { threadId } = (await pool.request(key, { verb: 'who' })) as Answer;
      expect(threads.get(key)!.has(threadId)).toBe(true);
    }
    const all = (await pool.requestAll({ verb: 'who' })) as Answer[];
    expect(new Set(all.map(({ threadId }) => threadId)).size).toBe(3);
  });

  test('bounds each lane, and tells room, use, depth and age exactly', async () => {
    let now = 1_000;
    const clock = { ...systemClock, now: () => now };
    const lanes = { high: limit(10), normal: limit(4), low: limit(4) };
    const { pool } = await start({ lanes, clock, minBatch: 1, maxBatch: 1 });
    const cost = { observations: 1, bytes: 10 };
    const pending = Array.from({ length: 4 }, (_, n) => {
      now += 100;
      return pool.submit(taskOf(n, 'hold', { cost }))!;
    });
    expect(pool.submit(taskOf(4, 'good', { cost }))).toBeUndefined();
    expect(pool.room('normal')).toEqual({ observations: 0, bytes: 60 });
    expect(pool.used('normal')).toEqual({ observations: 4, bytes: 40 });
    // Two batches of one are under way.
    expect(pool.depth('normal')).toEqual({ items: 2, observations: 2, bytes: 20 });
    now += 50;
    expect(pool.oldestAgeMs('normal')).toBe(150);
    expect(pool.oldestAgeMs('high')).toBe(0);
    expect(pool.room('high')).toEqual(limit(10));
    const large = pool.submit(taskOf(5, 'hold', { lane: 'low', cost: limit(500) }));
    expect(large).toBeDefined();
    expect(pool.room('low')).toEqual({ observations: 0, bytes: 0 });
    expect(pool.submit(taskOf(6, 'good', { lane: 'low' }))).toBeUndefined();
    let open = [...pending, large!].length;
    const settled = Promise.all([...pending, large!].map((each) => each.then(() => open--)));
    while (open > 0) await pool.requestTo(0, { verb: 'release' });
    await settled;
    for (const lane of LANES) {
      expect(pool.room(lane)).toEqual(lanes[lane]);
      expect(pool.used(lane)).toEqual({ observations: 0, bytes: 0 });
      expect(pool.depth(lane)).toEqual({ items: 0, observations: 0, bytes: 0 });
      expect(pool.oldestAgeMs(lane)).toBe(0);
    }
  });

  test('a high task overtakes what waits', async () => {
    const { pool } = await start({ minBatch: 1, maxBatch: 1 });
    const order: number[] = [];
    const submit = (n: number, lane: Lane) =>
      pool.submit(taskOf(n, 'good', { lane }))!.then(() => order.push(n));
    const all = Array.from({ length: 10 }, (_, n) => submit(n, 'low'));
    await Promise.all([...all, submit(10, 'high')]);
    expect(order.slice(0, 3)).toEqual([0, 1, 10]);
  });

  test('a batch that is refused as a whole rejects its tasks and no others', async () => {
    const { pool, events } = await start({ minBatch: 1, maxBatch: 1 });
    const tasks = (['good', 'refuse', 'good'] as const).map((how, n) =>
      pool.submit(taskOf(n, how)),
    );
    expect(await Promise.all(tasks.map(codeOf))).toEqual([undefined, 'INTERNAL', undefined]);
    expect(events.crashes).toEqual([]);
    expect(pool.used('normal')).toEqual({ observations: 0, bytes: 0 });
  });
});

describe('a pool whose thread ends', () => {
  test.each([
    ['process.exit', 'exit', {}],
    ['an exception in a later turn', 'throw', {}],
    ['exhausted memory', 'memory', { resourceLimits: { maxOldGenerationSizeMb: 24 } }],
  ] as const)('gives up exactly the task that ends it by %s', async (_name, how, options) => {
    const { pool, events } = await start({ ...options, count: 2, minBatch: 3, maxBatch: 20 });
    const poisons = new Set([17, 60]);
    const tasks = Array.from({ length: 80 }, (_, n) =>
      pool.submit(
        taskOf(n, poisons.has(n) ? how : 'good', { key: `key-${n % 7}`, lane: LANES[n % 3]! }),
      ),
    );
    const outcomes = await Promise.all(tasks as Promise<Outcome<Answer>>[]);
    outcomes.forEach((outcome, n) => {
      if (poisons.has(n))
        expect(outcome).toMatchObject({ kind: 'quarantined', error: { code: 'WORKER_CRASHED' } });
      else expect(outcome).toMatchObject({ kind: 'answered', answer: { n } });
    });
    expect(events.failures).toEqual([]);
    expect(events.crashes).toHaveLength(4);
    // The last one may be on its way back still.
    await until('every thread is there again', () => events.restarted.length === 4);
    expect([0, 1].reduce((sum, worker) => sum + pool.restarts(worker), 0)).toBe(4);
    for (const lane of LANES) expect(pool.used(lane)).toEqual({ observations: 0, bytes: 0 });
  });

  test('finds many poisons among good ones', async () => {
    const { pool, events } = await start({ minBatch: 8, maxBatch: 8 });
    const isPoison = (n: number) => n % 5 === 3;
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => pool.submit(taskOf(n, isPoison(n) ? 'exit' : 'good'))!),
    );
    expect(outcomes.map(({ kind }) => kind)).toEqual(
      outcomes.map((_, n) => (isPoison(n) ? 'quarantined' : 'answered')),
    );
    expect(events.failures).toEqual([]);
  });

  test('rejects what was asked of it, and answers what is asked while it starts again', async () => {
    const { pool, events } = await start();
    const silent = pool.request('a', { verb: 'silent' });
    const crashing = pool.request('a', { verb: 'crash' });
    for (const each of [silent, crashing]) {
      const code = (await codeOf(each)) as keyof typeof ERRORS;
      expect(ERRORS[code].retry).toBe('after-reroute');
    }
    // There is no thread now.
    expect(events.restarted).toEqual([]);
    expect(pool.busyMs(0)).toBe(0);
    pool.post(0, { verb: 'crash' });
    expect(await pool.request('a', { verb: 'who' })).toMatchObject({ start: 0 });
    expect(events.restarted).toEqual([0]);
    expect(events.crashes.map(({ worker }) => worker)).toEqual([0]);
    expect(events.crashes[0]!.error.message).toContain('code 3');
  });

  test('is told before it has any task again', async () => {
    const seen: string[] = [];
    let starts = 0;
    const { pool } = await start({
      workerData: () => ({ start: starts++ }),
      onCrash: () => seen.push('crash'),
      onRestarted: () => seen.push('restarted'),
    });
    const poison = pool.submit(taskOf(0, 'exit'))!.then(() => seen.push('quarantined'));
    const good = pool.submit(taskOf(1, 'good'))!.then((outcome) => {
      seen.push('answered');
      return outcome;
    });
    expect(await good).toMatchObject({ answer: { start: 2 } });
    await poison;
    expect(seen).toEqual(['crash', 'restarted', 'crash', 'quarantined', 'restarted', 'answered']);
  });

  test.each(['before ready', 'after ready'])(
    'and that dies %s from then on fails once and rejects what waits',
    async (dying) => {
      let starts = 0;
      const { pool, events } = await start({
        workerData: () => ({ start: starts++, dyingFrom: 1, dying }),
      });
      const pending = [
        pool.submit(taskOf(0, 'exit')),
        pool.submit(taskOf(1, 'good')),
        pool.submit(taskOf(2, 'good', { lane: 'low' })),
      ].map(codeOf);
      const asked = codeOf(pool.request('a', { verb: 'silent' }));
      await until('the pool fails', () => events.failures.length > 0);
      const codes = await Promise.all([...pending, asked]);
      // A thread that takes its tasks before it dies makes them look guilty.
      if (dying === 'before ready') expect(codes).not.toContain(undefined);
      expect(await codeOf(pool.submit(taskOf(3, 'good')))).toBeDefined();
      expect(await codeOf(pool.request('a', { verb: 'who' }))).toBeDefined();
      expect(events.failures).toHaveLength(1);
      for (const lane of LANES) expect(pool.used(lane)).toEqual({ observations: 0, bytes: 0 });
    },
  );

  test('symptom: a pool that answers only questions failed after some crashes in its life', async () => {
    const { pool, events } = await start();
    for (let n = 0; n < 8; n++) {
      await codeOf(pool.request('a', { verb: 'crash' }));
      expect(await pool.request('a', { verb: 'who' })).toBeDefined();
    }
    expect(events.failures).toEqual([]);
    expect(pool.restarts(0)).toBe(8);
  });

  test('symptom: a refused batch did not count as a sign of life', async () => {
    const { pool, events } = await start();
    for (let n = 0; n < 8; n++) {
      await codeOf(pool.request('a', { verb: 'crash' }));
      expect(await codeOf(pool.submit(taskOf(n, 'refuse')))).toBe('INTERNAL');
    }
    expect(events.failures).toEqual([]);
  });

  test('symptom: a question that ended threads had clean tasks given up', async () => {
    const { pool, events } = await start();
    const outcomes: string[] = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver && events.crashes.length < 10)
        await codeOf(pool.request('a', { verb: 'crash' }));
    })();
    for (let n = 0; events.crashes.length < 10; n += 20) {
      const tasks = Array.from({ length: 20 }, (_, i) => pool.submit(taskOf(n + i, 'good'))!);
      outcomes.push(...(await Promise.all(tasks)).map(({ kind }) => kind));
    }
    isOver = true;
    await asking;
    expect(new Set(outcomes)).toEqual(new Set(['answered']));
    expect(events.failures).toEqual([]);
  });

  test('tells how many tasks were under way', async () => {
    const { pool, events } = await start({ minBatch: 1, maxBatch: 1 });
    const held = [0, 1, 2].map((n) => pool.submit(taskOf(n, 'hold'))!);
    await codeOf(pool.request('a', { verb: 'crash' }));
    let open = held.length;
    const settled = Promise.all(held.map((each) => each.then(() => open--)));
    // Questions wait while suspects are tried one at a time.
    await until('all are released', () => {
      pool.post(0, { verb: 'release' });
      return open === 0;
    });
    await settled;
    await codeOf(pool.request('a', { verb: 'crash' }));
    expect(events.crashes.map(({ inFlight }) => inFlight)).toEqual([2, 0]);
  });

  test('takes buffers over with a question, also with one that waits for the next thread', async () => {
    const { pool } = await start();
    await codeOf(pool.request('a', { verb: 'crash' }));
    for (let n = 0; n < 2; n++) {
      const bytes = new Uint8Array(8);
      await pool.request('a', { verb: 'who', bytes }, [bytes.buffer]);
      expect(bytes.length).toBe(0);
    }
  });
});

describe('a pool that is closed', () => {
  test('symptom: a failed pool gave the room of its suspects back again when it was closed', async () => {
    let starts = 0;
    const { pool, events } = await start({
      workerData: () => ({ start: starts++, dyingFrom: 1, dying: 'before ready' }),
    });
    const pending = [0, 1, 2].map((n) => codeOf(pool.submit(taskOf(n, n === 0 ? 'exit' : 'good'))));
    await until('the pool fails', () => events.failures.length > 0);
    await Promise.all(pending);
    await pool.close();
    await pool.close();
    expect(pool.used('normal')).toEqual({ observations: 0, bytes: 0 });
  });

  test.each(['with tasks queued', 'while restarting', 'twenty times'])(
    '%s leaves nothing behind that keeps the process',
    async (scenario) => {
      // It would time out if a thread or a timer was left.
      const script = fileURLToPath(fixture('closing'));
      await promisify(execFile)(process.execPath, [script, scenario], { timeout: 50_000 });
    },
  );

  test('symptom: a task for a closed pool was never settled', async () => {
    const { pool } = await start();
    await pool.close();
    expect(await codeOf(pool.submit(taskOf(0, 'good')))).toBe('SHUTTING_DOWN');
    expect(await codeOf(pool.request('a', { verb: 'who' }))).toBe('SHUTTING_DOWN');
  });
});

function limit(observations: number): Cost {
  return { observations, bytes: observations * 10 + (observations === 4 ? 60 : 0) };
}
