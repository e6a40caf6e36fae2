// What a gateway tells of its cluster, judged line by line.

import type { ClusterMember, ClusterStatus, DeadLetter } from '@engram/client';
import { LANES } from '@engram/model';
import { isPressed, pressureText, stateOf } from './pressure.ts';
import { bytesText, counted, duration, numberRanges, refusedText } from './text.ts';
import { failure, ok, warning, type Check } from './check.ts';

/** Of the log's size: trimming begins at a half, so that more means it cannot. */
const LOG_FULL_SHARE = 0.9;
const LOG_FILLING_SHARE = 0.7;
/** Leases are judged by Redis's clock; what people read and keep is not. */
const CLOCK_SKEW_MS = 2_000;
const REDIS_SILENT_MS = 5_000;

/** A process of the asker's machine. */
export interface LocalProcess {
  readonly id: string;
  readonly role: string;
  readonly pid: number;
}

export interface Circumstances {
  /** How the command line program is called where the advice is read. */
  readonly command: string;
  /** What shows how far moves are, if not the command `ring`. */
  readonly moves?: string;
  /** Processes of this machine that are none of the members in the answer. */
  readonly silent?: readonly LocalProcess[];
  /** The folder of the cluster of this machine. */
  readonly dataDir?: string;
}

/** Every check that needs nothing but the answer of `GET /v1/cluster`. */
export function checkCluster(
  status: ClusterStatus,
  { command, moves = `${command} ring`, silent = [], dataDir = '.engram' }: Circumstances,
): Check[] {
  const shards = status.members.filter(({ role }) => role === 'shard');
  return [
    ...checkServers(status),
    ...checkProcesses(silent, dataDir),
    ...(shards.length === 0 && silent.some(({ role }) => role === 'shard')
      ? []
      : [checkShards(shards, command)]),
    checkSettings(status, shards),
    checkPartitions(status, moves),
    ...checkPressure(shards),
    ...checkRefusals(status, command),
    ...checkMemory(shards),
    ...checkStorage(shards),
    ...checkLog(status, shards),
    ...checkClocks(shards),
  ];
}

function* checkServers({ nats, redis, membershipAgeMs = 0 }: ClusterStatus): Generator<Check> {
  if (nats !== undefined)
    yield nats.connected
      ? ok('nats', `nats-server ${nats.version ?? 'of an unknown version'}`)
      : failure(
          'nats',
          'the gateway has no connection to NATS',
          'start nats-server, or look whether ENGRAM_NATS_URL is right; writes wait until then',
        );
  if (redis === undefined) return;
  const isSilent = membershipAgeMs > REDIS_SILENT_MS;
  yield redis.connected && !isSilent
    ? ok('redis', `redis-server ${redis.version ?? 'of an unknown version'}`)
    : failure(
        'redis',
        'the gateway hears nothing of Redis',
        'start redis-server, or look whether ENGRAM_REDIS_URL is right; nobody joins or leaves until then',
      );
}

function* checkProcesses(silent: readonly LocalProcess[], dataDir: string): Generator<Check> {
  for (const member of silent)
    yield failure(
      'processes',
      silentText(member),
      `look at ${dataDir}/logs/${member.id}.log: it is paused (kill -CONT ${member.pid}; or kill -9, and it is started again), cut off from Redis, or has too much to do`,
    );
}

function checkShards(shards: readonly ClusterMember[], command: string): Check {
  if (shards.length === 0)
    return failure('shards', 'there is none', `start one; on this machine: ${command} up`);
  const silent = shards.filter(({ answers }) => answers === false).map(({ id }) => id);
  if (silent.length > 0)
    return failure(
      'shards',
      `${silent.join(', ')} did not answer within a second`,
      'look at the log of the shard: it is paused, cut off from NATS, or has too much to do',
    );
  return ok('shards', `${counted(shards.length, 'shard')} answer`);
}

function checkSettings(status: ClusterStatus, shards: readonly ClusterMember[]): Check {
  const { replication: counts = 1, members } = status;
  const differing = members.filter(({ replication = counts }) => replication !== counts);
  if (differing.length > 0)
    return warning(
      'settings',
      `ENGRAM_REPLICATION differs: ${differing.map(({ id, replication }) => `${id} has ${replication}`).join(', ')}; ${counts} counts`,
      `set it to ${counts} everywhere`,
    );
  if (shards.length > 0 && shards.length < counts)
    return warning(
      'settings',
      `${counts} copies are wanted of ${counted(shards.length, 'shard')}`,
      'add a shard: until then there are fewer copies',
    );
  return ok('settings', `the members agree; replication ${counts}`);
}

function checkPartitions({ partitions = [], partitionCount }: ClusterStatus, moves: string): Check {
  const unserved = partitions.filter(({ ready }) => ready !== true);
  if (unserved.length > 0)
    return failure(
      'partitions',
      `no shard answers for ${numberRanges(unserved.map(({ partition }) => partition))}`,
      `wait while shards restore them (${moves} shows how far); when it lasts, look at their logs`,
    );
  const missing = partitions.reduce(
    (sum, { owners = [], readyOwners = owners.length }) => sum + owners.length - readyOwners,
    0,
  );
  if (missing > 0)
    return warning(
      'partitions',
      `${counted(missing, 'copy')} not ready yet`,
      `wait while they are restored: ${moves} shows how far`,
    );
  return ok('partitions', `all ${partitionCount} are served`);
}

function* checkPressure(shards: readonly ClusterMember[]): Generator<Check> {
  let isCalm = true;
  for (const { id, pressure } of shards) {
    if (pressure === undefined || !isPressed(pressure)) continue;
    isCalm = false;
    const states = LANES.map((lane) => stateOf(pressure[lane]));
    const found = `${id}: ${pressureText(pressure)}`;
    if (states.includes('stalled'))
      yield failure('pressure', found, 'look at the log of the shard, and start it anew');
    else if (states.includes('overloaded'))
      yield failure(
        'pressure',
        found,
        'its writes are refused with 429 or 503: send more slowly, or add a shard',
      );
    else yield warning('pressure', found, 'send more slowly, or add a shard, before it refuses');
  }
  if (isCalm) yield ok('pressure', 'no lane of a shard is pressed');
}

function* checkRefusals({ limited = [] }: ClusterStatus, command: string): Generator<Check> {
  for (const each of limited) {
    const { cause, refused, since } = each;
    yield warning(
      'refusals',
      `${refusedText(each)}: ${refused} refused since ${since} (${cause})`,
      `${command} explain ${cause}`,
    );
  }
}

function* checkMemory(shards: readonly ClusterMember[]): Generator<Check> {
  const short = shards.filter(({ memory = 'normal' }) => memory !== 'normal');
  for (const { id, memory, privateBytes = 0 } of short) {
    const has = `${id} has ${bytesText(privateBytes)}`;
    yield memory === 'hard'
      ? failure(
          'memory',
          `${has}, its limit: it takes deletes only`,
          'add a shard, delete something, or raise ENGRAM_MEMORY_HARD_BYTES',
        )
      : warning(
          'memory',
          `${has}, beyond its soft limit: it takes no more of the lane low`,
          'add a shard before it refuses normal and high as well',
        );
  }
  if (short.length === 0) {
    const bytes = shards.reduce((sum, { privateBytes = 0 }) => sum + privateBytes, 0);
    yield ok('memory', `${bytesText(bytes)} of all shards, below their limits`);
  }
}

function* checkStorage(shards: readonly ClusterMember[]): Generator<Check> {
  const failing = shards.filter(({ storageFault }) => storageFault !== undefined);
  for (const { id, storageFault: { message, forMs } = { message: '', forMs: 0 } } of failing)
    yield failure(
      'storage',
      `${id} cannot store what it has, for ${duration(forMs)}: ${message}`,
      'make room on its disk, or look at its log; the log of the cluster keeps what it has, and grows until then',
    );
  if (failing.length === 0) yield ok('storage', 'every shard stores what it has');
}

function* checkLog({ nats }: ClusterStatus, shards: readonly ClusterMember[]): Generator<Check> {
  const { logBytes, logBytesMax } = nats ?? {};
  if (logBytes === undefined || logBytesMax === undefined || logBytesMax <= 0) return;
  const share = logBytes / logBytesMax;
  const found = `${bytesText(logBytes)} of ${bytesText(logBytesMax)} (${Math.round(share * 100)} %)`;
  const failing = shards.filter(({ storageFault }) => storageFault !== undefined);
  const advice =
    failing.length === 0
      ? 'raise ENGRAM_LOG_BYTES_MAX; from a half on it is trimmed behind checkpoints, so look whether those are stored'
      : `mend the storage of ${failing.map(({ id }) => id).join(', ')} first: nothing is trimmed until its checkpoints are stored`;
  if (share >= LOG_FULL_SHARE) yield failure('log', found, advice);
  else if (share >= LOG_FILLING_SHARE) yield warning('log', found, advice);
  else yield ok('log', found);
}

function* checkClocks(shards: readonly ClusterMember[]): Generator<Check> {
  const wrong = shards.filter(({ clockSkewMs = 0 }) => Math.abs(clockSkewMs) > CLOCK_SKEW_MS);
  for (const { id, clockSkewMs = 0 } of wrong)
    yield warning('clock', `${id} is ${skewText(clockSkewMs)} its gateway`, 'set it by NTP');
}

/** The clock of the gateway, which was asked a moment ago. */
export function checkGatewayClock({ time }: ClusterStatus, nowMs: number): Check[] {
  const skewMs = Date.parse(time ?? '') - nowMs;
  if (Number.isNaN(skewMs)) return [];
  if (Math.abs(skewMs) <= CLOCK_SKEW_MS) return [ok('clock', 'the gateway has the time of here')];
  return [warning('clock', `the gateway is ${skewText(skewMs)} this machine`, 'set them by NTP')];
}

function skewText(skewMs: number): string {
  return `${(Math.abs(skewMs) / 1_000).toFixed(1)} s ${skewMs > 0 ? 'ahead of' : 'behind'}`;
}

/** @param letters the newest ones, as many as were asked for or fewer */
export function checkDeadLetters(
  letters: readonly DeadLetter[],
  asked: number,
  command: string,
): Check {
  const [newest] = letters;
  if (newest === undefined) return ok('dead letters', 'none');
  const count = letters.length < asked ? String(letters.length) : `${asked} or more`;
  return warning(
    'dead letters',
    `${count}, the newest: ${newest.reason}${newest.space === undefined ? '' : ` in ${newest.space}`}`,
    `${command} dlq list, then redrive or purge them; ${command} explain ${newest.reason}`,
  );
}

/** `shard-2 runs (pid 4711), and the cluster does not hear of it`. */
export function silentText({ id, pid }: LocalProcess): string {
  return `${id} runs (pid ${pid}), and the cluster does not hear of it`;
}
