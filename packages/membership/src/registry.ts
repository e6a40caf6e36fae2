// The registry of members in Redis: one Lua script that is a heartbeat, a departure and a reading at
// once, so that every reader sees a whole state.

import type { MemberId } from '@engram/model';
import type { Clock } from '@engram/runtime';
import { Redis } from 'ioredis';
import { BucketStore } from './bucket-store.ts';
import { redisAccess, type RedisServer } from './redis-access.ts';
import { SignalStore } from './signal-store.ts';
import { SilenceWatch } from './silence-watch.ts';

export interface RegistryOptions extends RedisServer {
  /** Clusters that share a Redis have different names. */
  readonly cluster: string;
  readonly leaseTtlMs: number;
  readonly clock: Pick<Clock, 'now'>;
}

/** What the registry knows of one member; `record` is what the member itself said last. */
export interface RegistryEntry {
  readonly id: MemberId;
  readonly record: string;
}

export interface RegistryState {
  /** A new one means that Redis was emptied, and an absent member need not be dead. */
  readonly registryId: string;
  /** Rises when a member comes or goes. */
  readonly epoch: number;
  readonly entries: readonly RegistryEntry[];
  readonly standing: Standing;
}

/**
 * Of the one who asked: a member; not one, because another process has its id; or not one any more,
 * because its lease had run out.
 */
type Standing = 'ok' | 'taken' | 'expelled';

type Answer = [standing: Standing, registryId: string, epoch: string, ...entries: string[]];

/**
 * KEYS  1 records: hash member → record    2 leases: zset member → expiry, server milliseconds
 *       3 meta: hash {registryId, epoch, beatAt}
 * ARGV  1 verb (beat | leave)  2 member  3 incarnation  4 record  5 lease in ms
 *       6 lowest epoch that may be answered  7 fresh registry id  8 channel  9 known registry id, or ''
 *       10 incarnation whose place is taken though its lease has not run out, or ''
 * Returns [standing, registryId, epoch, member, record, member, record, …]; standing is ok, taken, or
 * expelled: its lease had run out in this very registry. An expelled member is not written in again
 * by that beat, because its record still says what it was ready for.
 * The server's clock decides on leases, so that members' clocks do not matter. When nobody at all was
 * heard for half a lease, Redis was away or its clock jumped: then every lease begins anew, because silence
 * says nothing about any one member. A lease that ends too late was made before the clock went back. A
 * record without a lease was written by no member, and goes.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member, incarnation, record = ARGV[2], ARGV[3], ARGV[4]
if redis.call('HSETNX', KEYS[3], 'registryId', ARGV[7]) == 1 then
  redis.call('HSET', KEYS[3], 'epoch', ARGV[6])
end
local ttl = tonumber(ARGV[5])
local beatAt = tonumber(redis.call('HGET', KEYS[3], 'beatAt') or now)
local from = '(' .. (now + 2 * ttl)
if math.abs(now - beatAt) > ttl / 2 then from = '-inf' end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], from, '+inf')) do
  redis.call('ZADD', KEYS[2], now + ttl, member)
end
redis.call('HSET', KEYS[3], 'beatAt', now)
local changed, said = false, false
for _, known in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not redis.call('ZSCORE', KEYS[2], known) then
    redis.call('HDEL', KEYS[1], known)
    changed = true
  end
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('HDEL', KEYS[1], gone)
  changed = true
end
local before = redis.call('HGET', KEYS[1], member)
local holder = before and cjson.decode(before).incarnation
local status = 'ok'
if holder and holder ~= incarnation and (ARGV[10] == '' or holder ~= ARGV[10]) then
  status = 'taken'
elseif ARGV[1] == 'beat' and not before and ARGV[9] == redis.call('HGET', KEYS[3], 'registryId') then
  status = 'expelled'
elseif ARGV[1] == 'beat' then
  redis.call('ZADD', KEYS[2], now + ttl, member)
  if before ~= record then
    redis.call('HSET', KEYS[1], member, record)
    said = true
  end
  if holder ~= incarnation then changed = true end
elseif before then
  redis.call('ZREM', KEYS[2], member)
  redis.call('HDEL', KEYS[1], member)
  changed = true
end
local epoch = tonumber(redis.call('HGET', KEYS[3], 'epoch'))
local floor = tonumber(ARGV[6])
if changed or epoch < floor then
  epoch = math.max(epoch, floor - 1) + 1
  redis.call('HSET', KEYS[3], 'epoch', epoch)
end
if changed or said then redis.call('PUBLISH', ARGV[8], tostring(epoch)) end
local answer = { status, redis.call('HGET', KEYS[3], 'registryId'), tostring(epoch) }
for _, value in ipairs(redis.call('HGETALL', KEYS[1])) do answer[#answer + 1] = value end
return answer
`;

/** A command that is not answered by then never was: late heartbeats must not revive a dead member. */
const COMMAND_TIMEOUT_MS = 1_000;

export class Registry implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #watches: readonly SilenceWatch[];
  readonly #keys: readonly [string, string, string];
  readonly #channel: string;
  readonly #leaseTtlMs: number;
  readonly signals: SignalStore;
  readonly buckets: BucketStore;

  private constructor(options: RegistryOptions, onError: (error: unknown) => void) {
    const coordination = {
      ...redisAccess(options),
      lazyConnect: true,
      connectTimeout: 2_000,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 6), 1_000),
    };
    this.#redis = new Redis(options.url, { ...coordination, commandTimeout: COMMAND_TIMEOUT_MS });
    this.#subscriber = new Redis(options.url, coordination);
    // Without a listener an `error` event ends the process; the outage itself is the callers' matter.
    this.#redis.on('error', onError);
    this.#subscriber.on('error', onError);
    this.#watches = [this.#redis, this.#subscriber].map(
      (each) => new SilenceWatch(each, options.clock),
    );
    const prefix = `engram:{${options.cluster}}`;
    this.#keys = [`${prefix}:records`, `${prefix}:leases`, `${prefix}:meta`];
    this.#channel = `${prefix}:changes`;
    this.#leaseTtlMs = options.leaseTtlMs;
    this.buckets = new BucketStore(this.#redis, prefix, COMMAND_TIMEOUT_MS);
    this.signals = new SignalStore(this.#redis, this.#subscriber, prefix, options.leaseTtlMs);
  }

  static async start(
    options: RegistryOptions,
    onError: (error: unknown) => void,
  ): Promise<Registry> {
    const registry = new Registry(options, onError);
    try {
      await Promise.all([registry.#redis.connect(), registry.#subscriber.connect()]);
    } catch (cause) {
      await registry.close();
      throw cause;
    }
    return registry;
  }

  /** Calls back when the registry changed; messages may be lost, so it is a hint only. */
  async onChange(listener: () => void): Promise<void> {
    this.#subscriber.on('message', (channel: string) => {
      if (channel === this.#channel) listener();
    });
    await this.#subscriber.subscribe(this.#channel);
  }

  /**
   * Renews the member's lease, or joins when no registry is known yet, and answers everything.
   * @param known the registry of the last answer, and the incarnation that is known to be dead
   */
  beat(
    entry: RegistryEntry,
    incarnation: string,
    epochFloor: number,
    known: { readonly registryId: string | undefined; readonly dead: string | undefined },
  ): Promise<RegistryState> {
    for (const watch of this.#watches) watch.look();
    return this.#run('beat', entry, incarnation, epochFloor, known.registryId, known.dead);
  }

  leave(id: MemberId, incarnation: string): Promise<RegistryState> {
    return this.#run('leave', { id, record: '' }, incarnation, 1);
  }

  /** Of the server; undefined where it does not say. @throws the library's error while it is away */
  async serverVersion(): Promise<string | undefined> {
    return /^redis_version:(\S+)/m.exec(await this.#redis.info('server'))?.[1];
  }

  close(): Promise<void> {
    this.#redis.disconnect();
    this.#subscriber.disconnect();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(
    verb: 'beat' | 'leave',
    { id, record }: RegistryEntry,
    incarnation: string,
    epochFloor: number,
    knownRegistryId = '',
    deadIncarnation = '',
  ): Promise<RegistryState> {
    const answer = (await this.#redis.eval(
      SCRIPT,
      this.#keys.length,
      ...this.#keys,
      verb,
      id,
      incarnation,
      record,
      this.#leaseTtlMs,
      epochFloor,
      crypto.randomUUID(),
      this.#channel,
      knownRegistryId,
      deadIncarnation,
    )) as Answer;
    const [standing, registryId, epoch, ...flat] = answer;
    const entries: RegistryEntry[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2)
      entries.push({ id: flat[i] as MemberId, record: flat[i + 1]! });
    return { registryId, epoch: Number(epoch), entries, standing };
  }
}
