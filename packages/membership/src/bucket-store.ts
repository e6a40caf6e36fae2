// What is left of the limits that all gateways share, in Redis: one hash for each bucket, by Redis's clock.

import type { Spending } from '@engram/admission';
import type { Redis } from 'ioredis';

/**
 * KEYS  the buckets: hash {level, at}
 * ARGV  for each: tokens a second, burst, spent; and the time of the server after which nothing is spent any
 *       more, 0 for never: who sent it has given it up, and goes on without
 * Returns the level of each, and the time, as text: Lua's numbers would come as integers. A bucket that would
 * be full by then expires, because a full one is what an unknown one is. A clock that went back gives nothing.
 */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local levels = {}
local deadline = tonumber(ARGV[#ARGV])
local isLate = deadline > 0 and now > deadline
for i, key in ipairs(KEYS) do
  local rate = tonumber(ARGV[3 * i - 2])
  local burst = tonumber(ARGV[3 * i - 1])
  local spent = isLate and 0 or tonumber(ARGV[3 * i])
  local known = redis.call('HMGET', key, 'level', 'at')
  local level = tonumber(known[1]) or burst
  local at = tonumber(known[2]) or now
  level = math.min(burst, level + math.max(0, now - at) / 1000 * rate) - spent
  if level < burst then
    redis.call('HSET', key, 'level', tostring(level), 'at', tostring(now))
    redis.call('PEXPIRE', key, math.ceil((burst - level) / rate * 1000) + 1000)
  else
    redis.call('DEL', key)
  end
  levels[i] = tostring(level)
end
levels[#levels + 1] = tostring(now)
return levels
`;

export class BucketStore {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #timeoutMs: number;

  /** The server's clock, and when it was asked for, by this process's. */
  #seen: { readonly serverMs: number; readonly atMs: number } | undefined;

  /** @param timeoutMs after which an answer is not waited for */
  constructor(redis: Redis, prefix: string, timeoutMs: number) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Notes what was taken from buckets.
   * @returns what all gateways together have left in each, in the same order; negative: in debt
   * @throws the library's error while Redis is away; then what was taken may be noted or not
   */
  async spend(spendings: readonly Spending[]): Promise<number[]> {
    if (spendings.length === 0) return [];
    const askedAtMs = performance.now();
    const seen = this.#seen;
    const deadline =
      seen === undefined ? 0 : Math.ceil(seen.serverMs + (askedAtMs - seen.atMs) + this.#timeoutMs);
    const answer = (await this.#redis.eval(
      SCRIPT,
      spendings.length,
      ...spendings.map(({ name }) => `${this.#prefix}:bucket:${name}`),
      ...spendings.flatMap(({ rate, spent }) => [rate.perSecond, rate.burst, spent]),
      deadline,
    )) as string[];
    this.#seen = { serverMs: Number(answer.at(-1)), atMs: askedAtMs };
    return answer.slice(0, -1).map(Number);
  }
}
