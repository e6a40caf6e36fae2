import { decodeFrame, encodeBatch, encodeFrame } from '@engram/codec';
import { startNatsServer, type ServerProcess } from '@engram/local-cluster';
import {
  agreeOnLayout,
  DEAD_LETTER_STREAM,
  ensureStreams,
  isOfLog,
  LogConnection,
  LogFeed,
  LogPublisher,
  observationSubject,
  openBlobs,
  partitionSubjects,
  SpaceDirectory,
  trimPartition,
  writeDeadLetter,
  type Filtered,
  type LogMessage,
  type Room,
} from '@engram/log';
import {
  ClusterError,
  LANES,
  parseSpaceId,
  parseSpaceOptions,
  partitionOf,
  type Lane,
  type PartitionId,
  type SpaceId,
} from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { connect, headers, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const PARTITIONS = 64;
const LIMITS = { bytesMax: 512 * 1024 * 1024, replicas: 1 };
const clock = systemClock;
const PATIENCE = { withinMs: 10_000, clock };
const logger = createLogger('test', 'test', 'silent');

let folder: Awaited<ReturnType<typeof tempDir>>;
let server: ServerProcess;
let connection: LogConnection;
let plain: NatsConnection;

beforeAll(async () => {
  folder = await tempDir();
  server = await startNatsServer({ dataDir: folder.path, partitionCount: PARTITIONS });
  connection = await LogConnection.start({
    url: server.url,
    name: 'test',
    connectTimeoutMs: 10_000,
    clock,
    logger,
  });
  await ensureStreams(connection, { partitionCount: PARTITIONS, stripeCount: 1 }, LIMITS);
  plain = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
});

afterAll(async () => {
  await plain.close();
  await connection.close();
  await server.close();
  await folder[Symbol.asyncDispose]();
});

function publisher() {
  return new LogPublisher(connection, {
    stripeCount: 1,
    inFlightMax: 64,
    timeoutMs: 10_000,
    clock,
  });
}

const space = (name: string) => parseSpaceId(name);
const ALL: readonly PartitionId[] = Array.from({ length: PARTITIONS }, (_, p) => p as PartitionId);

function feedOf(options: {
  readonly partitions?: readonly PartitionId[];
  readonly startSequence: number;
  readonly filtered?: Filtered;
  readonly room?: () => Room;
  readonly onMessage: (message: LogMessage) => void;
}): LogFeed {
  const partitions = options.partitions ?? ALL;
  return LogFeed.start(connection, {
    stripe: 0,
    stream: 'OBS-0',
    subjects: LANES.flatMap((lane) => partitionSubjects(partitions, lane)),
    startSequence: options.startSequence,
    filtered: options.filtered ?? 'when-caught-up',
    room: options.room ?? (() => ({ messages: 512, bytes: 32 * 1024 * 1024 })),
    onMessage: options.onMessage,
    clock,
    logger,
  });
}

async function headSequence(): Promise<number> {
  const manager = await plain.jetstreamManager();
  return (await manager.streams.info('OBS-0')).state.last_seq;
}

test.each([
  ['acme', 47],
  ['tenant-1', 11],
  ['A_b', 17],
  ['x', 7],
  ['user-42', 43],
])(
  'the server maps observe.<lane>.%s to the partition %i that we compute',
  async (name, partition) => {
    expect(partitionOf(space(name), PARTITIONS)).toBe(partition);
    const ack = await plain.jetstream().publish(`observe.normal.${name}`, 'x');
    const manager = await plain.jetstreamManager();
    const stored = await manager.streams.getMessage('OBS-0', { seq: ack.seq });
    expect(stored.subject).toBe(`obs.${partition}.normal.${name}`);
  },
);

test('a mapped publish is acknowledged once for each message id', async () => {
  const publish = () => plain.jetstream().publish('observe.high.dedupe', 'x', { msgID: 'once' });
  const first = await publish();
  const second = await publish();
  expect([second.seq, second.duplicate]).toEqual([first.seq, true]);
});

test.each(['observe.urgent.acme', 'obs.64.normal.acme', 'obs.5.normal', 'obs.5.normal.a.b'])(
  'a publish to %s, which no shard would read, is refused by the server',
  async (subject) => {
    await expect(plain.jetstream().publish(subject, 'x', { timeout: 2_000 })).rejects.toThrow();
  },
);

test('a feed delivers every entry once and in order, within the room it is given', async () => {
  const start = (await headSequence()) + 1;
  const target = space('bounded');
  const partition = partitionOf(target, PARTITIONS);
  const log = publisher();
  // 300 KB each: pulled 500 at a time these overran the client's own limit and stalled.
  const bytes = new Uint8Array(300_000);
  const count = 60;
  for (let i = 0; i < count; i++)
    await log.publish([
      {
        space: target,
        afterSequence: 0,
        partition,
        lane: LANES[i % 3] as Lane,
        bytes,
        contentType: 'application/octet-stream',
        messageId: `bounded:${i}`,
      },
    ]);
  const roomMax = 4 * 1024 * 1024;
  const held: LogMessage[] = [];
  const sequences: number[] = [];
  let heldBytes = 0;
  let heldBytesMax = 0;
  const feed = feedOf({
    startSequence: start,
    room: () => ({ messages: 512, bytes: roomMax - heldBytes }),
    onMessage: (message) => {
      held.push(message);
      sequences.push(message.sequence);
      heldBytes += message.bytes.length;
      heldBytesMax = Math.max(heldBytesMax, heldBytes);
    },
  });
  try {
    await until('all entries came', () => {
      for (const message of held.splice(0)) heldBytes -= message.bytes.length;
      feed.pump();
      return sequences.length === count;
    });
    expect(sequences).toEqual(Array.from({ length: count }, (_, i) => start + i));
    // The message that crosses a pull's byte limit may still come.
    expect(heldBytesMax).toBeLessThanOrEqual(roomMax + 1024 * 1024);
    const progress = await until('the feed knows that it is complete', async () => {
      const known = await feed.progress();
      return known?.pending === 0 ? known : undefined;
    });
    expect(progress.completeTo).toBeGreaterThanOrEqual(start + count - 1);
  } finally {
    await feed.close();
  }
});

test.each(['when-caught-up', 'never', 'always'] as const)(
  'a feed that is far behind has its own only, filtered %s',
  async (filtered) => {
    const start = (await headSequence()) + 1;
    const mine = [3, 7, 12].map((p) => p as PartitionId);
    const expected: number[] = [];
    let sequence = start;
    const send = async (count: number) => {
      for (let i = 0; i < count; i++, sequence++) {
        const partition = i % 16;
        if (mine.includes(partition as PartitionId)) expected.push(sequence);
        plain.publish(`obs.${partition}.${LANES[i % 3]}.behind`, new Uint8Array(8));
      }
      await until('the log has them', async () => (await headSequence()) === sequence - 1);
    };
    await send(5_000);
    const seen: LogMessage[] = [];
    const feed = feedOf({
      partitions: mine,
      startSequence: start,
      filtered,
      onMessage: (message) => seen.push(message),
    });
    try {
      await until('all came', () => seen.length === expected.length);
      // It caught up with one consumer and goes on with another.
      const changes = filtered === 'when-caught-up' ? 1 : 0;
      await until('it has changed over', () => feed.resetCount >= changes);
      await send(64);
      await until('the later ones came', () => seen.length === expected.length);
      expect(seen.map((message) => message.sequence)).toEqual(expected);
      const progress = await until('the feed knows that it is complete', async () => {
        const known = await feed.progress();
        return known?.pending === 0 ? known : undefined;
      });
      expect(progress.completeTo).toBeGreaterThanOrEqual(sequence - 1);
    } finally {
      await feed.close();
    }
  },
);

// The feed has several filters, the shard's live ones too: nats-server took what was left of one for all.
test('symptom: trimming a partition took entries of others from feeds that were behind', async () => {
  const start = (await headSequence()) + 1;
  const [one, other] = [21, 22].map((p) => p as PartitionId) as [PartitionId, PartitionId];
  for (let i = 0; i < 30; i++) {
    const partition = i >= 10 && i < 20 ? other : one;
    await plain.jetstream().publish(`obs.${partition}.${LANES[i % 3]}.trimmed`, new Uint8Array(8));
  }
  for (const trimmed of [start + 14, start + 19]) {
    let messages = 0;
    const sequences: number[] = [];
    await using feed = feedOf({
      partitions: [one, other],
      startSequence: start,
      filtered: 'always',
      room: () => ({ messages, bytes: 8 * 1024 * 1024 }),
      onMessage: ({ sequence }) => sequences.push(sequence),
    });
    await until('the feed has its consumer', () => feed.progress());
    await trimPartition(connection, 1, other, trimmed);
    messages = 512;
    const isLeft = (sequence: number) => sequence < start + 10 || sequence > trimmed;
    const left = Array.from({ length: 30 }, (_, i) => start + i).filter(isLeft);
    await until('the feed is at the end', async () => {
      feed.pump();
      return ((await feed.progress())?.completeTo ?? 0) >= start + 29;
    });
    expect(sequences).toEqual(left);
  }
});

test('a feed goes on without a gap when its consumer is deleted under it', async () => {
  const start = (await headSequence()) + 1;
  const sequences: number[] = [];
  const feed = feedOf({
    startSequence: start,
    onMessage: ({ sequence }) => sequences.push(sequence),
  });
  const log = publisher();
  const target = space('deleted-consumer');
  const send = (i: number) =>
    log.publish([
      {
        space: target,
        afterSequence: 0,
        partition: partitionOf(target, PARTITIONS),
        lane: 'normal',
        bytes: new Uint8Array(10),
        contentType: 'x',
        messageId: `deleted:${i}`,
      },
    ]);
  try {
    for (let i = 0; i < 20; i++) await send(i);
    await until('the first half came', () => sequences.length === 20);
    const manager = await plain.jetstreamManager();
    for await (const { name } of manager.consumers.list('OBS-0'))
      await manager.consumers.delete('OBS-0', name);
    for (let i = 20; i < 40; i++) await send(i);
    await until('the second half came', () => sequences.length >= 40);
    expect(sequences).toEqual(Array.from({ length: 40 }, (_, i) => start + i));
  } finally {
    await feed.close();
  }
});

test('a space is known to another directory as soon as its creation was answered', async () => {
  const options = { stripeCount: 1, replicas: 1, clock, logger };
  await using first = await SpaceDirectory.start(connection, options);
  await using second = await SpaceDirectory.start(connection, options);
  const name = space('directory');
  const partition = partitionOf(name, PARTITIONS);
  const wanted = parseSpaceOptions({ dimension: 8 });
  const created = await first.create(name, partition, wanted);
  expect(created.isNew).toBe(true);
  expect(await second.find(name)).toEqual(created.config);
  const again = await second.create(name, partition, parseSpaceOptions({ dimension: 9 }));
  expect([again.isNew, again.config.dimension]).toEqual([false, 8]);
  expect(await second.delete(name, partition)).toBe(true);
  await until('the first forgets it too', () => first.peek(name) === undefined);
});

test('symptom: what was written to a space that was made again went to the one before', async () => {
  const options = { stripeCount: 1, replicas: 1, clock, logger };
  await using first = await SpaceDirectory.start(connection, options);
  await using second = await SpaceDirectory.start(connection, options);
  const name = space('again');
  const wanted = parseSpaceOptions({ dimension: 8 });
  const { config } = await first.create(name, partitionOf(name, PARTITIONS), wanted);
  await until('the other one knows it', () => second.peek(name) !== undefined);
  // As it was made again, a moment ago: the other one has not heard of it.
  const next = { ...config, afterSequence: config.afterSequence + 10 };
  const kv = await plain.jetstream().views.kv('engram-spaces');
  await kv.put(name, JSON.stringify(next));
  expect(await second.find(name, next.afterSequence)).toEqual(next);
  // What nobody made is not waited for.
  expect(await second.find(name, next.afterSequence + 1)).toEqual(next);
});

test('two creations at once make one space', async () => {
  const options = { stripeCount: 1, replicas: 1, clock, logger };
  await using first = await SpaceDirectory.start(connection, options);
  await using second = await SpaceDirectory.start(connection, options);
  const name = space('race');
  const make = (directory: SpaceDirectory, dimension: number) =>
    directory.create(name, partitionOf(name, PARTITIONS), parseSpaceOptions({ dimension }));
  const [left, right] = await Promise.all([make(first, 4), make(second, 5)]);
  expect([left.isNew, right.isNew].filter(Boolean)).toHaveLength(1);
  expect(left.config).toEqual(right.config);
});

test('spaces outlive damage to their records, and the loss of their bucket', async () => {
  const options = { stripeCount: 1, replicas: 1, clock, logger };
  await using first = await SpaceDirectory.start(connection, options);
  await using second = await SpaceDirectory.start(connection, options);
  const [name, other] = [space('damaged'), space('younger')];
  const partition = partitionOf(name, PARTITIONS);
  const make = (directory: SpaceDirectory, of: SpaceId) =>
    directory.create(of, partition, parseSpaceOptions({ dimension: 8 }));
  const { config } = await make(first, name);
  const kv = await plain.jetstream().views.kv('engram-spaces');
  const stored = async () => (await kv.get(name))!.string();
  await kv.put(name, 'not json');
  await until('who knows it puts it back', async () => (await stored()) === JSON.stringify(config));

  const manager = await plain.jetstreamManager();
  await manager.streams.delete('KV_engram-spaces');
  // Whoever uses the bucket first makes it again; the others notice.
  expect((await make(second, other)).isNew).toBe(true);
  await until('the space is back', async () => (await kv.get(name)) !== null);
  await until('the other one heard of the new space', () => first.peek(other) !== undefined);
  await second.delete(name, partition);
  await until('the other one heard that it went', () => first.peek(name) === undefined);

  await kv.put(name, 'not json');
  await until('it is known as damaged', () =>
    first.find(name).then(
      () => false,
      (error: unknown) => ClusterError.from(error).code === 'SPACE_DAMAGED',
    ),
  );
  expect(await second.recover(config)).toEqual(config);
  await until('it is known again', () => first.peek(name) !== undefined);
  await kv.put(name, '[]');
  await until('who knows it puts it back', async () => (await stored()) === JSON.stringify(config));
});

test('an entry has one dead letter, however often it is refused', async () => {
  const message = {
    stripe: 0,
    sequence: 123_456,
    subject: observationSubject(3 as PartitionId, 'low', space('dead')),
    contentType: 'application/json',
  };
  const errors = [{ index: 0, code: 'INVALID_JSON' as const, detail: 'not JSON\r\nPUB evil 1' }];
  const bytes = new TextEncoder().encode('{');
  expect(await writeDeadLetter(connection, message, bytes, errors)).toBe(true);
  expect(await writeDeadLetter(connection, message, bytes, errors)).toBe(false);
  const manager = await plain.jetstreamManager();
  const stored = await manager.streams.getMessage(DEAD_LETTER_STREAM, {
    last_by_subj: 'dlq.0.123456',
  });
  expect(stored.header.get('Engram-Reason')).toBe('INVALID_JSON');
  expect(stored.header.get('Engram-Detail')).toBe('not JSON??PUB evil 1');
  expect(stored.string()).toBe('{');
});

test('a checkpoint is of the log whose end it saw, also where another partition trimmed that entry', async () => {
  const manager = await plain.jetstreamManager();
  const [mine, other] = [41, 42] as [PartitionId, PartitionId];
  const publish = async (partition: PartitionId) => {
    const { seq } = await plain.jetstream().publish(`obs.${partition}.low.marked`, 'x');
    const { time } = await manager.streams.getMessage('OBS-0', { seq });
    await until('the clock goes on', () => Date.now() > time.getTime() + 2);
    return { sequence: seq, storedAtMs: time.getTime() };
  };
  const [early, end, late] = [await publish(mine), await publish(other), await publish(mine)];
  const stored = { name: 'x', bytes: 1, crc: 1, watermark: early.sequence, writtenAtMs: 0 };
  const isMine = (logEnd: { readonly sequence: number; readonly storedAtMs: number }) =>
    isOfLog(connection, 'OBS-0', mine, { ...stored, logEnd });
  const elsewhen = { ...end, storedAtMs: early.storedAtMs - 1 };
  const future = { sequence: late.sequence + 1, storedAtMs: late.storedAtMs };
  const answers = () => Promise.all([end, elsewhen, late, future].map(isMine));
  expect(await answers()).toEqual([true, false, true, false]);
  await manager.streams.deleteMessage('OBS-0', end.sequence);
  // Nothing is left of the entry itself; but `early` is younger than what the other log ended with.
  expect(await answers()).toEqual([true, false, true, false]);
  await manager.streams.deleteMessage('OBS-0', early.sequence);
  // What that had of the partition is in no place that the checkpoint would pass over.
  expect(await isMine(elsewhen)).toBe(true);
});

test('a log whose newest entries of a partition were removed is told from one that lost its end', async () => {
  const manager = await plain.jetstreamManager();
  const partition = 43 as PartitionId;
  const ends: { readonly sequence: number; readonly storedAtMs: number }[] = [];
  for (let i = 0; i < 12; i++) {
    const { seq } = await plain.jetstream().publish(`obs.${partition}.low.gone`, 'x');
    const { time } = await manager.streams.getMessage('OBS-0', { seq });
    ends.push({ sequence: seq, storedAtMs: time.getTime() });
    await until('the clock goes on', () => Date.now() > time.getTime() + 2);
  }
  await plain.jetstream().publish(`obs.44.low.gone`, 'x');
  for (const { sequence } of ends.slice(5)) await manager.streams.deleteMessage('OBS-0', sequence);
  const stored = { name: 'x', bytes: 1, crc: 1, watermark: ends[0]!.sequence, writtenAtMs: 0 };
  const isOf = (logEnd: { readonly sequence: number; readonly storedAtMs: number }) =>
    isOfLog(connection, 'OBS-0', partition, { ...stored, logEnd });
  expect(await Promise.all(ends.slice(5).map(isOf))).toEqual(Array(7).fill(true));
  // The end of another log, that was stored before what has places before it in this one.
  const elsewhen = ends.slice(5).map(({ sequence }, i) => ({
    sequence,
    storedAtMs: ends[i % 4]!.storedAtMs,
  }));
  expect(await Promise.all(elsewhen.map(isOf))).toEqual(Array(7).fill(false));
});

test('all members learn one id of their cluster, and keep their blobs under it', async () => {
  const layout = { partitionCount: PARTITIONS, stripeCount: 1 };
  const ids = await Promise.all(
    [1, 2, 3].map(() => agreeOnLayout(connection, layout, LIMITS, PATIENCE)),
  );
  expect(new Set(ids).size).toBe(1);
  expect(await agreeOnLayout(connection, layout, LIMITS, PATIENCE)).toBe(ids[0]);
  // Another id would be another folder of blobs.
  await (await plain.jetstreamManager()).streams.delete('KV_engram-cluster');
  await ensureStreams(connection, layout, { ...LIMITS, bytesMax: LIMITS.bytesMax * 2 });
  expect(await agreeOnLayout(connection, layout, LIMITS, PATIENCE)).toBe(ids[0]);
  await expect(
    agreeOnLayout(connection, { partitionCount: 32, stripeCount: 1 }, LIMITS, PATIENCE),
  ).rejects.toMatchObject({ code: 'CLUSTER_DIFFERS' });

  const record = await plain.jetstream().views.kv('engram-cluster');
  for (const other of ['not json', '00000000-0000-4000-8000-000000000000']) {
    await record.put('id', other);
    const refused = agreeOnLayout(connection, layout, LIMITS, PATIENCE);
    await expect(refused).rejects.toMatchObject({
      code: 'CLUSTER_DIFFERS',
      hint: expect.stringContaining(`write ${ids[0]} under the key id`) as string,
    });
  }
  // Where the log does not know its id: a folder of blobs would have that name.
  const { config } = await (await plain.jetstreamManager()).streams.info('OBS-0');
  await (await plain.jetstreamManager()).streams.update('OBS-0', { ...config, metadata: {} });
  for (const other of ['../../tmp', '']) {
    await record.put('id', other);
    const refused = agreeOnLayout(connection, layout, LIMITS, PATIENCE);
    await expect(refused).rejects.toMatchObject({ code: 'CLUSTER_DIFFERS' });
  }
  await record.put('id', ids[0]!);
  expect(await agreeOnLayout(connection, layout, LIMITS, PATIENCE)).toBe(ids[0]);

  await using shared = await tempDir();
  const openOf = (cluster: string) =>
    openBlobs({ store: shared.path, cluster, replicas: 1 }, () => connection);
  const [one, other] = [await openOf(ids[0]!), await openOf('another')];
  await one.save('1.1.a', import.meta.filename);
  // Who took it for one of his own would remove it as one that nothing names.
  expect([await one.names(), await other.names()]).toEqual([['1.1.a'], []]);
});

test('a member with other partitions is refused, and leaves nothing that others would be refused for', async () => {
  const layout = { partitionCount: PARTITIONS, stripeCount: 1 };
  const id = await agreeOnLayout(connection, layout, LIMITS, PATIENCE);
  await (await plain.jetstream().views.kv('engram-cluster')).delete('layout');
  await expect(
    agreeOnLayout(connection, { partitionCount: 32, stripeCount: 1 }, LIMITS, PATIENCE),
  ).rejects.toMatchObject({ code: 'CLUSTER_DIFFERS' });
  expect(await agreeOnLayout(connection, layout, LIMITS, PATIENCE)).toBe(id);
});

// Last, because it takes the server away from all the others.
test('after a killed server everything acknowledged is read, and the feed goes on', async () => {
  const start = (await headSequence()) + 1;
  const seen: number[] = [];
  const feed = feedOf({ startSequence: start, onMessage: ({ sequence }) => seen.push(sequence) });
  const log = publisher();
  const target = space('killed');
  const batch = encodeBatch([{ value: { id: 'a', embedding: [1, 2] }, pointer: '' }], {
    dimension: 2,
    metric: 'l2',
  });
  const acknowledged: number[] = [];
  let isStopped = false;
  const writing = (async () => {
    for (let i = 0; !isStopped; i++) {
      try {
        const [{ sequence } = { sequence: 0 }] = await log.publish([
          {
            space: target,
            afterSequence: 0,
            partition: partitionOf(target, PARTITIONS),
            lane: 'normal',
            bytes: batch.frames[0]!.bytes,
            contentType: 'application/vnd.engram.frame',
            messageId: `killed:${i}`,
          },
        ]);
        acknowledged.push(sequence);
      } catch {
        await clock.sleep(20); // refused while the server is away: nothing was promised
      }
    }
  })();
  await until('some were acknowledged', () => acknowledged.length > 200);
  const { port } = server;
  server.signal('SIGKILL');
  await server.exited;
  const before = acknowledged.length;
  // The wall clock is an hour ahead for a moment, in which it is tried to connect again.
  const { now } = Date;
  const ahead = vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_600_000);
  await until('some tries were made', () => ahead.mock.calls.length > 6);
  ahead.mockRestore();
  server = await startNatsServer({ dataDir: folder.path, port, partitionCount: PARTITIONS });
  // As the library does by itself, this one would wait for that hour.
  await plain.close();
  plain = await connect({ servers: server.url });
  await until('more were acknowledged afterwards', () => acknowledged.length > before + 200);
  isStopped = true;
  await writing;
  try {
    await until('the feed saw all of them', () => {
      const all = new Set(seen);
      return acknowledged.every((sequence) => all.has(sequence));
    });
    expect(new Set(seen).size).toBe(seen.length);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
  } finally {
    await feed.close();
  }
});

test('a frame read back from the log is the frame that was published', async () => {
  const frame = encodeFrame({
    dimension: 3,
    ids: ['é', 'b'],
    deletes: ['gone'],
    embeddings: Float32Array.of(1, 2, 3, 4, 5, 6),
    timestamps: [5, NaN],
    metadata: ['{"a":1}', undefined],
  });
  const head = headers();
  head.set('Content-Type', 'application/vnd.engram.frame');
  const start = (await headSequence()) + 1;
  const came: LogMessage[] = [];
  const feed = feedOf({ startSequence: start, onMessage: (message) => came.push(message) });
  try {
    await plain.jetstream().publish('observe.low.frame', frame, { headers: head });
    const message = await until('the entry came', () => came[0]);
    const read = decodeFrame(message.bytes);
    expect([read.id(0), read.id(1), read.id(2)]).toEqual(['é', 'b', 'gone']);
    expect([...read.embeddings]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([read.metadata(0), read.metadata(1)]).toEqual(['{"a":1}', undefined]);
    expect(message.contentType).toBe('application/vnd.engram.frame');
    expect(message.lane).toBe('low');
    // The embeddings are a view of the message's own buffer.
    expect(read.embeddings.buffer).toBe(message.bytes.buffer);
  } finally {
    await feed.close();
  }
});
