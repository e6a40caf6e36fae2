// How fast shards read a log that they are behind, where the server looks for each feed's subjects and where
// each feed reads everything and passes over what is not its own.

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNatsServer } from '@engram/local-cluster';
import {
  ensureStreams,
  LogConnection,
  LogFeed,
  observationSubject,
  partitionSubjects,
  streamName,
  type Filtered,
} from '@engram/log';
import { LANES, parseSpaceId, partitionOf, type Lane, type PartitionId } from '@engram/model';
import { systemClock } from '@engram/runtime';
import { createLogger } from '@engram/runtime/logger';
import { connect } from 'nats';
import type { Group, GroupContext, GroupReport } from '../group.ts';
import { formatRate, formatRatio, formatSpread } from '../samples.ts';

const PARTITIONS = 64;
const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition as PartitionId);
/** Look-ups by subject get slower with each entry that is passed over. */
const ENTRIES = 12_000;
/** About a frame with one embedding of 100 values. */
const ENTRY_BYTES = 450;
const ROOM = { messages: 2_048, bytes: 32 * 1024 * 1024 };
const CONNECT_MS = 10_000;
const LOGGER = createLogger('bench', 'bench', 'error');
const SHARDS = [1, 3] as const;
const WAYS = ['always', 'when-caught-up', 'never'] as const satisfies readonly Filtered[];
const BACKLOGS = [
  ['one lane', ['low']],
  ['three lanes', LANES],
] as const satisfies readonly (readonly [string, readonly Lane[]])[];

interface Sample {
  readonly backlog: string;
  readonly shards: number;
  readonly filtered: Filtered;
  readonly perSecond: number;
}

export const feeds: Group = {
  name: 'feeds',
  title: 'reading a log that is far behind',
  run,
};

async function run(context: GroupContext): Promise<GroupReport> {
  const count = context.isQuick ? ENTRIES / 4 : ENTRIES;
  const samples: Sample[] = [];
  for (const [backlog, lanes] of BACKLOGS) {
    context.progress(`${backlog} of ${count} entries`);
    samples.push(...(await onLog(context, count, backlog, lanes)));
  }
  return report(count, samples);
}

async function onLog(
  { servers, repetitions, signal }: GroupContext,
  count: number,
  backlog: string,
  lanes: readonly Lane[],
): Promise<Sample[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'engram-bench-feeds-'));
  try {
    const server = await startNatsServer({
      dataDir,
      partitionCount: PARTITIONS,
      binary: servers.nats,
    });
    try {
      await fill(server.url, count, lanes);
      const samples: Sample[] = [];
      for (let index = 0; index < repetitions; index++)
        for (const filtered of index % 2 === 0 ? WAYS : WAYS.toReversed())
          for (const shards of SHARDS) {
            const ms = await readAll(server.url, { count, shards, filtered, signal });
            samples.push({ backlog, shards, filtered, perSecond: (count * 1_000) / ms });
          }
      return samples;
    } finally {
      await server.close();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

function connectTo(url: string): Promise<LogConnection> {
  return LogConnection.start({
    url,
    name: 'bench',
    connectTimeoutMs: CONNECT_MS,
    clock: systemClock,
    logger: LOGGER,
  });
}

async function fill(url: string, count: number, lanes: readonly Lane[]): Promise<void> {
  const connection = await connectTo(url);
  await ensureStreams(
    connection,
    { partitionCount: PARTITIONS, stripeCount: 1 },
    { bytesMax: 1024 * 1024 * 1024, replicas: 1 },
  );
  await connection.close();
  const plain = await connect({ servers: url });
  const bytes = new Uint8Array(ENTRY_BYTES);
  for (let i = 0; i < count; i++) {
    const space = parseSpaceId(`space-${i % 1_000}`);
    const partition = partitionOf(space, PARTITIONS);
    plain.publish(observationSubject(partition, lanes[i % lanes.length]!, space), bytes);
    if (i % 1_000 === 999) await plain.flush();
  }
  const manager = await plain.jetstreamManager();
  while ((await manager.streams.info(streamName(0))).state.messages < count) await plain.flush();
  await plain.close();
}

/** @returns milliseconds until each of the shards has all that is in its partitions, with a feed a lane */
async function readAll(
  url: string,
  options: {
    readonly count: number;
    readonly shards: number;
    readonly filtered: Filtered;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { count, shards, filtered, signal } = options;
  const connections = await Promise.all(Array.from({ length: shards }, () => connectTo(url)));
  const done = new EventTarget();
  const isDone = once(done, 'done', { signal });
  let read = 0;
  const start = performance.now();
  const reading = connections.flatMap((connection, shard) => {
    const partitions = ALL.filter((partition) => partition % shards === shard);
    return LANES.map((lane) =>
      LogFeed.start(connection, {
        stripe: 0,
        stream: streamName(0),
        subjects: partitionSubjects(partitions, lane),
        startSequence: 1,
        filtered,
        clock: systemClock,
        logger: LOGGER,
        room: () => ROOM,
        onMessage: () => {
          if (++read === count) done.dispatchEvent(new Event('done'));
        },
      }),
    );
  });
  try {
    await isDone;
    return performance.now() - start;
  } finally {
    await Promise.all(reading.map((feed) => feed.close()));
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

function report(count: number, samples: readonly Sample[]): GroupReport {
  const of = (backlog: string, shards: number, filtered: Filtered) =>
    samples
      .filter(
        (each) => each.backlog === backlog && each.shards === shards && each.filtered === filtered,
      )
      .map(({ perSecond }) => perSecond);
  return {
    tables: [
      {
        title: `${count} entries of ${ENTRY_BYTES} bytes in ${PARTITIONS} partitions, entries/s until every shard has its own`,
        head: ['behind in', 'shards', ...WAYS, 'when-caught-up of always'],
        rows: BACKLOGS.flatMap(([backlog]) =>
          SHARDS.map((shards) => [
            backlog,
            String(shards),
            ...WAYS.map((way) => formatSpread(of(backlog, shards, way), formatRate)),
            formatSpread(
              of(backlog, shards, 'when-caught-up').map(
                (rate, i) => rate / of(backlog, shards, 'always')[i]!,
              ),
              formatRatio,
            ),
          ]),
        ),
      },
    ],
    notes: [
      'each shard has a connection and a feed a lane, all in one process; nothing is applied',
      'always: the server looks for the subjects; never: a feed reads the whole stream; when-caught-up: as live feeds do',
    ],
    figures: [
      {
        name: 'entries/s of live feeds, one shard behind in one lane',
        unit: '1/s',
        better: 'higher',
        samples: of(BACKLOGS[0][0], SHARDS[0], 'when-caught-up'),
      },
    ],
    data: { count, entryBytes: ENTRY_BYTES, partitions: PARTITIONS, samples },
  };
}
