import { NatsError } from 'nats';
import { isNoResponders } from './errors.ts';

const STREAM_NOT_FOUND = 10_059;

/** A bucket, of keys or of objects, that is made again when someone deleted it. */
export class Bucket<T> {
  readonly #open: () => Promise<T>;
  #bucket: T;

  private constructor(open: () => Promise<T>, bucket: T) {
    this.#open = open;
    this.#bucket = bucket;
  }

  /** @param open makes it where it is missing */
  static async start<T>(open: () => Promise<T>): Promise<Bucket<T>> {
    return new Bucket(open, await open());
  }

  async use<R>(run: (bucket: T) => Promise<R>): Promise<R> {
    try {
      return await run(this.#bucket);
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#bucket = await this.#open();
      return run(this.#bucket);
    }
  }
}

/** Nobody answers for a bucket that is gone, and nobody does while JetStream is away: then nor later. */
function isGone(error: unknown): boolean {
  if (isNoResponders(error)) return true;
  return error instanceof NatsError && error.api_error?.err_code === STREAM_NOT_FOUND;
}
