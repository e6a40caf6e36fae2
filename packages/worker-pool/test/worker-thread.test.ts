import { afterEach, describe, expect, test } from 'vitest';
import { WorkerThread } from '../src/worker-thread.ts';
import { until } from './until.ts';

const entry = (name: string) => new URL(`./fixtures/${name}.mjs`, import.meta.url);
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
});

async function start(onEnd: (error: Error) => void = () => undefined): Promise<WorkerThread> {
  const options = { entry: entry('answering'), readyTimeoutMs: 20_000 };
  const thread = await WorkerThread.start(options, { onEnd });
  open.push(thread);
  return thread;
}

describe('a worker thread', () => {
  test.each([
    ['missing', 20_000, 'Cannot find module'],
    ['ending', 20_000, 'ended before it was ready'],
    ['mute', 300, 'was not ready within 300 ms'],
  ])('does not start with an entry that is %s', async (name, readyTimeoutMs, reason) => {
    const crashes: Error[] = [];
    const started = WorkerThread.start(
      { entry: entry(name), readyTimeoutMs },
      { onEnd: (error) => crashes.push(error) },
    );
    await expect(started).rejects.toThrow(reason);
    expect(crashes).toEqual([]);
  });

  test('answers each request with its own answer', async () => {
    const thread = await start();
    const values = Array.from({ length: 50 }, (_, n) => n);
    const answers = values.map((value) => thread.request({ verb: 'echo', value }));
    expect(thread.pending).toBe(50);
    expect(await Promise.all(answers)).toEqual(values);
    expect(thread.pending).toBe(0);
  });

  test('answers with the error it met; one that it does not know is told in the cause', async () => {
    const thread = await start();
    await expect(thread.request({ verb: 'refuse' })).rejects.toMatchObject({
      code: 'SPACE_NOT_FOUND',
      pointer: '#space',
      details: { n: 1 },
    });
    await expect(thread.request({ verb: 'break' })).rejects.toMatchObject({
      code: 'INTERNAL',
      message: 'unexpected failure',
      cause: { message: 'secret' },
    });
  });

  test('takes buffers over and gives them back', async () => {
    const thread = await start();
    const bytes = Uint8Array.of(1, 2, 3);
    const answer = thread.request({ verb: 'transfer', bytes }, [bytes.buffer]);
    expect(bytes.length).toBe(0);
    expect(await answer).toEqual(Uint8Array.of(1, 2, 3));
  });

  test('that crashes rejects what waits and says so once', async () => {
    const crashes: Error[] = [];
    const thread = await start((error) => crashes.push(error));
    const waiting = thread.request({ verb: 'silent' });
    const crashing = thread.request({ verb: 'crash' });
    await expect(waiting).rejects.toMatchObject({ code: 'PARTITION_UNAVAILABLE' });
    await expect(crashing).rejects.toThrow(/ended with code 3/);
    expect(crashes).toHaveLength(1);
  });

  test('symptom: a request to a thread that had ended was never answered', async () => {
    const thread = await start();
    await thread.close();
    expect(thread.hasEnded).toBe(true);
    await expect(thread.request({ verb: 'echo' })).rejects.toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
    });
  });

  test('that is closed rejects what waits and is no crash', async () => {
    const crashes: Error[] = [];
    const thread = await start((error) => crashes.push(error));
    const waiting = expect(thread.request({ verb: 'silent' })).rejects.toMatchObject({
      code: 'PARTITION_UNAVAILABLE',
    });
    await thread.close();
    await waiting;
    expect(crashes).toEqual([]);
  });

  test('does not wait for the answer to what cannot be sent', async () => {
    const thread = await start();
    await expect(thread.request({ verb: 'echo', value: () => 1 })).rejects.toThrow();
    expect(thread.pending).toBe(0);
  });

  test('takes a message that nobody answers', async () => {
    const thread = await start();
    thread.post({ verb: 'echo', value: 1 });
    expect(thread.pending).toBe(0);
    expect(await thread.request({ verb: 'echo', value: 2 })).toBe(2);
  });

  test('symptom: a thread that was ended from outside in native code ended the process', async () => {
    const ends = new Int32Array(new SharedArrayBuffer(4));
    const options = { entry: entry('answering'), readyTimeoutMs: 20_000, workerData: ends };
    const thread = await WorkerThread.start(options, { onEnd: () => undefined });
    await Promise.all([thread.close(), thread.close()]);
    expect(ends[0]).toBe(1);
    await thread.close();
  });

  test('symptom: a thread that died right after it was ready was taken for one that runs', async () => {
    const workerData = { dyingFrom: 0, dying: 'after ready' };
    const crashes: Error[] = [];
    const started = WorkerThread.start(
      { entry: entry('working'), readyTimeoutMs: 20_000, workerData },
      { onEnd: (error) => crashes.push(error) },
    );
    // Both come while this thread has no turn.
    const end = performance.now() + 500;
    while (performance.now() < end) continue;
    const thread = await started.catch((error: unknown) => error);
    // On a busy machine it may die later than that; then its end is told.
    if (thread instanceof WorkerThread) await until('the end is told', () => crashes.length === 1);
    else {
      expect(String(thread)).toContain('ended before it was ready');
      expect(crashes).toEqual([]);
    }
  });
});
