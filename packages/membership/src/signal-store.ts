// What shards say of their load, in Redis: a hash for each that expires by itself, for who comes later,
// and a channel for who listens. Lost while Redis is away: the same goes out over NATS.

import { isToken, type MemberId } from '@engram/model';
import type { Redis } from 'ioredis';

export class SignalStore {
  readonly #redis: Redis;
  readonly #subscriber: Redis;
  readonly #prefix: string;
  readonly #ttlMs: number;

  /** @param ttlMs of what a member said last */
  constructor(redis: Redis, subscriber: Redis, prefix: string, ttlMs: number) {
    this.#redis = redis;
    this.#subscriber = subscriber;
    this.#prefix = prefix;
    this.#ttlMs = ttlMs;
  }

  /**
   * Says it to everybody.
   * @param fields what people and tools read; `text` is the whole
   * @throws the library's error while Redis is away
   */
  async publish(
    member: MemberId,
    text: string,
    fields: Readonly<Record<string, string | number>>,
  ): Promise<void> {
    const key = this.#key(member);
    await this.#redis
      .multi()
      .hset(key, { ...fields, signal: text })
      .pexpire(key, this.#ttlMs)
      .publish(this.#channel, text)
      .exec();
  }

  /** Calls back with what any member says; the subscription outlives outages. */
  async listen(listener: (text: string) => void): Promise<void> {
    const channel = this.#channel;
    this.#subscriber.on('message', (from: string, text: string) => {
      if (from === channel) listener(text);
    });
    await this.#subscriber.subscribe(channel);
  }

  /**
   * What these members said last, as far as it has not expired.
   * @throws the library's error while Redis is away
   */
  async read(members: readonly MemberId[]): Promise<string[]> {
    const known = members.filter(isToken);
    if (known.length === 0) return [];
    const batch = this.#redis.pipeline();
    for (const member of known) batch.hget(this.#key(member), 'signal');
    const answers = (await batch.exec()) ?? [];
    return answers.flatMap(([error, text]) => {
      if (error !== null) throw error;
      return typeof text === 'string' ? [text] : [];
    });
  }

  get #channel(): string {
    return `${this.#prefix}:signals`;
  }

  #key(member: MemberId): string {
    return `${this.#prefix}:signal:${member}`;
  }
}
