import { connect } from 'node:net';
import { once } from 'node:events';
import { open, readdir, rm, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { between, pickOne, type Random } from '../random.ts';
import { killMember, revive } from './chaos-cluster.ts';
import type { ActiveFault, FaultKind } from './fault.ts';
import { pickMember } from './process-faults.ts';

const flushRedis: FaultKind = {
  lastsMs: [0, 500],
  inject: async ({ running, busy }) => {
    const { redis } = running.cluster;
    if (busy.has(redis.id) || !redis.running) return undefined;
    const socket = connect(redis.port, '127.0.0.1');
    socket.write('FLUSHALL\r\n');
    await once(socket, 'data');
    socket.destroy();
    return { target: redis.id, heal: () => Promise.resolve() };
  },
};

/** Not waited for at once: where NATS is stopped each write takes its time, and only healing ends that. */
function intoLog(written: Promise<void>): ActiveFault {
  written.catch(() => undefined); // told when it is healed
  return { target: 'log', heal: () => written };
}

const poison: FaultKind = {
  lastsMs: [0, 500],
  inject: ({ load }) => Promise.resolve(intoLog(load.poison(20))),
};

const duplicates: FaultKind = {
  lastsMs: [0, 500],
  inject: ({ load }) => Promise.resolve(intoLog(load.repeat(30))),
};

/** Until it is healed no byte more fits beside the shard's files. */
const diskFull: FaultKind = {
  lastsMs: [3_000, 8_000],
  cannot: ({ noDisk }) => noDisk,
  inject: async ({ running, busy }) => {
    const { disk } = running;
    if (disk === undefined || busy.has(disk.shard)) return undefined;
    const ballast = join(disk.path, 'ballast');
    const file = await open(ballast, 'w');
    await fill(file).finally(() => file.close());
    return { target: disk.shard, heal: () => rm(ballast, { force: true }) };
  },
};

async function fill(file: FileHandle): Promise<void> {
  const block = Buffer.alloc(64 * 1024);
  for (;;) {
    try {
      const { bytesWritten } = await file.write(block);
      if (bytesWritten < block.length) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}

/** A crash that left files behind which are cut short, empty or changed. */
const damagedFiles: FaultKind = {
  lastsMs: [0, 1_000],
  inject: async (context) => {
    const member = pickMember(context, ({ cluster }) => cluster.shards);
    if (member === undefined) return undefined;
    const { running, random } = context;
    const folder = running.shardFolder(member.id);
    await killMember(member);
    for (const path of await filesBelow(folder)) if (random() < 0.5) await damage(path, random);
    return { target: member.id, heal: () => revive(member) };
  },
};

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== 'ballast')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

async function damage(path: string, random: Random): Promise<void> {
  const how = between(0, 3, random);
  if (how === 0) await truncate(path, 0);
  else if (how === 1) await halve(path);
  else await flip(path, random);
}

async function halve(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(Math.floor((await file.stat()).size / 2));
  } finally {
    await file.close();
  }
}

async function flip(path: string, random: Random): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { size } = await file.stat();
    const byte = Buffer.alloc(1);
    for (let i = 0; i < 8 && size > 0; i++) {
      const at = between(0, size, random);
      await file.read(byte, 0, 1, at);
      byte[0] = byte[0]! ^ (1 << between(0, 8, random));
      await file.write(byte, 0, 1, at);
    }
  } finally {
    await file.close();
  }
}

/** The wall clock of one member is set by an hour, forwards or back, while it runs. */
const clockJump: FaultKind = {
  lastsMs: [2_000, 6_000],
  inject: async (context) => {
    const member = pickMember(context, ({ cluster }) => [...cluster.shards, ...cluster.gateways]);
    if (member === undefined) return undefined;
    const file = context.running.clockFile(member.id);
    await writeFile(file, String(pickOne([-3_600_000, 3_600_000], context.random)));
    return { target: member.id, heal: () => rm(file, { force: true }) };
  },
};

export const DATA_FAULTS = {
  'flush-redis': flushRedis,
  poison,
  duplicates,
  'disk-full': diskFull,
  'damaged-files': damagedFiles,
  'clock-jump': clockJump,
} as const satisfies Record<string, FaultKind>;
