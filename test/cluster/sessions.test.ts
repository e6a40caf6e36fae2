import { EngramClient, type PutResult } from '@engram/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { logState } from '../support/inspect.ts';
import { StreamClient } from '../support/stream-client.ts';
import { until } from '../support/until.ts';

let running: TestCluster;

beforeAll(async () => {
  running = await startTestCluster({ shards: 1, gateways: 2 });
});

afterAll(async () => {
  await running[Symbol.asyncDispose]();
});

const batchOf = (n: number) =>
  Array.from({ length: 10 }, (_, i) => ({ id: `b${n}-${i}`, embedding: [n + 1, i] }));

/** Writes batch after batch, with some always under way, until it is told to finish. */
function startWriting(space: string, urls: readonly string[]) {
  const session = new EngramClient({ url: urls }).session({ space });
  const results: Promise<PutResult>[] = [];
  let [acked, isOver] = [0, false];
  const writing = (async () => {
    while (!isOver) {
      const { acknowledged } = await session.send(batchOf(results.length));
      results.push(acknowledged);
      void acknowledged.then(
        () => acked++,
        () => (isOver = true),
      );
      if (results.length - acked > 50) await acknowledged;
    }
    await session.close();
  })();
  return {
    acked: () => acked,
    async finish() {
      isOver = true;
      await writing;
      return { results: await Promise.all(results), position: session.position! };
    },
  };
}

/** Everything that was acknowledged is there, and stands in the log once. */
async function expectAllOnce(
  space: string,
  url: string,
  { results, position }: { readonly results: readonly PutResult[]; readonly position: string },
  entriesBefore: number,
) {
  const client = new EngramClient({ url });
  expect(results.every(({ accepted, rejected }) => accepted === 10 && rejected === 0)).toBe(true);
  const query = { embedding: [1, 1], k: 1, minPosition: position, waitMs: 10_000 };
  expect((await client.recall(space, query)).results).toHaveLength(1);
  expect((await client.space(space)).count).toBe(10 * results.length);
  // A batch is one entry, though some were sent twice.
  expect((await logState(running)).messages - entriesBefore).toBe(results.length);
  expect(await client.verify(space)).toMatchObject({ ok: true });
}

test('a gateway is killed: the session goes on at the other one, and each batch is stored once', async () => {
  const { cluster, client } = running;
  await client.createSpace('killed', { dimension: 2 });
  const { messages } = await logState(running);
  const [first, second] = cluster.gateways;
  const writer = startWriting('killed', [first!.url, second!.url]);
  await until('some are acknowledged', () => writer.acked() > 100);
  first!.signal('SIGKILL');
  await first!.exited;
  const atKill = writer.acked();
  await until('the session goes on', () => writer.acked() > atKill + 100);
  await expectAllOnce('killed', second!.url, await writer.finish(), messages);
  await first!.start();
});

test('a gateway that stops sends its sessions to the other one, and says so', async () => {
  const { cluster, client } = running;
  await client.createSpace('drained', { dimension: 2 });
  const { messages } = await logState(running);
  const [first, second] = cluster.gateways;
  using watcher = await StreamClient.open(second!.url, { space: 'drained' });
  const writer = startWriting('drained', [second!.url, first!.url]);
  await until('some are acknowledged', () => writer.acked() > 100);
  const stopped = second!.close();
  const { reconnectAfterMs } = await watcher.next('goaway');
  expect(reconnectAfterMs).toBeLessThanOrEqual(1_000);
  expect(Number.isInteger(reconnectAfterMs)).toBe(true);
  expect((await watcher.whenClosed()).code).toBe(1001);
  await stopped;
  const atStop = writer.acked();
  await until('the session goes on', () => writer.acked() > atStop + 100);
  await expectAllOnce('drained', first!.url, await writer.finish(), messages);
});
