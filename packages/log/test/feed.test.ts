import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { expect, onTestFinished, test } from 'vitest';
import type { LogConnection } from '../src/connection.ts';
import { LogFeed } from '../src/feed.ts';

/** What the server tells of a consumer to which nothing was delivered. */
interface Told {
  lastSequence: number;
  pending: number;
  readTo: number;
  /** Of each consumer, whether it has a filter. */
  filters?: boolean[];
}

async function feedOf(told: Told): Promise<LogFeed> {
  const manager = {
    streams: {
      info: () => Promise.resolve({ state: { last_seq: told.lastSequence, last_ts: 0 } }),
    },
    consumers: {
      add: (_: string, config: object) => {
        (told.filters ??= []).push('filter_subject' in config);
        return Promise.resolve({ name: 'c', num_pending: told.pending });
      },
      delete: () => Promise.resolve(true),
      info: () =>
        Promise.resolve({
          num_pending: told.pending,
          delivered: { consumer_seq: 0, stream_seq: told.readTo },
        }),
    },
  };
  const connection = {
    isConnected: true,
    onReconnect: () => () => undefined,
    ends: { note: () => undefined },
    nc: {
      jetstreamManager: () => Promise.resolve(manager),
      subscribe: () => ({ unsubscribe: () => undefined }),
      publish: () => undefined,
      isClosed: () => false,
    },
  } as unknown as LogConnection; // what a feed uses of one
  const feed = LogFeed.start(connection, {
    stripe: 0,
    stream: 'OBS-0',
    subjects: ['obs.1.high.>'],
    startSequence: 6,
    filtered: 'when-caught-up',
    clock: systemClock,
    logger: createLogger('test', 'test', 'silent'),
    room: () => ({ messages: 10, bytes: 10_000_000 }),
    onMessage: () => undefined,
  });
  onTestFinished(() => feed.close());
  await expect.poll(() => feed.progress()).toBeDefined();
  return feed;
}

// The log has an entry, and acknowledged it, before it tells a consumer of it.
test('symptom: what the log had and a consumer was not told of yet was called complete', async () => {
  const told = { lastSequence: 9, pending: 0, readTo: 7 };
  const feed = await feedOf(told);
  expect(await feed.progress()).toEqual({ completeTo: 7, pending: 0 });
  told.readTo = 9;
  expect(await feed.progress()).toEqual({ completeTo: 9, pending: 0 });
});

test('entries that a filter passed over are looked for without it', async () => {
  const told: Told = { lastSequence: 5, pending: 3, readTo: 5 };
  const feed = await feedOf(told);
  expect([await feed.progress(), feed.resetCount]).toEqual([{ completeTo: 5, pending: 3 }, 0]);
  // The server is at the end, and nothing came.
  Object.assign(told, { lastSequence: 9, pending: 0, readTo: 9 });
  expect(await feed.progress()).toBeUndefined();
  expect(feed.resetCount).toBe(1);
  await expect.poll(() => told.filters).toEqual([true, false]);
});
