// What this machine has for a cluster of its own.

import { statfs } from 'node:fs/promises';
import { bytesText, type Check, ok, warning } from '@engram/diagnosis';
import { findNatsServer, findRedisServer, SetupError } from '@engram/local-cluster';
import { invocation } from '../format.ts';

/** Less than this is soon filled by a log of the default size. */
const DISK_BYTES_MIN = 4 * 1024 ** 3;

/** The Node that runs this; one that is too old does not get here (`main.ts`). */
export function checkNode(): Check {
  return ok('node', process.version);
}

/** The servers that `engram up` would start, without fetching them. */
export function checkPrograms(): Promise<Check[]> {
  return Promise.all([
    checkProgram('nats-server', findNatsServer),
    checkProgram('redis-server', findRedisServer),
  ]);
}

async function checkProgram(name: string, find: typeof findNatsServer): Promise<Check> {
  try {
    const { version, path } = await find({ sources: ['path'] });
    return ok(name, `${version} at ${path}`);
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    const advice = `${invocation()} up fetches it, or ${error.hint ?? 'put it into your PATH'}`;
    return warning(name, error.message, advice);
  }
}

/** Undefined where there is no such folder yet. */
export async function checkDisk(dataDir: string): Promise<Check | undefined> {
  const stats = await statfs(dataDir).catch(() => undefined);
  if (stats === undefined) return undefined;
  const free = stats.bavail * stats.bsize;
  const found = `${bytesText(free)} are free at ${dataDir}`;
  if (free >= DISK_BYTES_MIN) return ok('disk', found);
  return warning(
    'disk',
    found,
    'free some, or lower ENGRAM_LOG_BYTES_MAX: a full disk stops writes',
  );
}
