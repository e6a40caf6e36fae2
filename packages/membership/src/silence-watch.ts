import type { Clock } from '@engram/runtime';
import type { Redis } from 'ioredis';

/**
 * A connection that has not answered for so long is given up for a new one. The system itself would try to send for a
 * quarter of an hour where the way is lost without a word: an address that changed, a firewall that forgot.
 */
const SILENCE_MAX_MS = 3_000;

/** Notices that nobody is at the other end any more. The library's `socketTimeout` also ends connections that came after. */
export class SilenceWatch {
  readonly #redis: Redis;
  readonly #clock: Pick<Clock, 'now'>;
  /** When the oldest question was asked that is not answered. */
  #askedAtMs: number | undefined;

  constructor(redis: Redis, clock: Pick<Clock, 'now'>) {
    this.#redis = redis;
    this.#clock = clock;
    redis.on('ready', () => (this.#askedAtMs = undefined));
  }

  /** To be called now and then: it has no timer of its own. */
  look(): void {
    const { status } = this.#redis;
    if (status !== 'ready' && status !== 'connect') {
      this.#askedAtMs = undefined;
      return;
    }
    const now = this.#clock.now();
    this.#askedAtMs ??= now;
    if (now - this.#askedAtMs > SILENCE_MAX_MS) {
      this.#askedAtMs = undefined;
      this.#redis.disconnect(true);
      return;
    }
    if (status !== 'ready') return; // the library asks first
    const answered = () => (this.#askedAtMs = undefined);
    this.#redis.ping().then(answered, () => undefined);
  }
}
