import { isNoResponders, isStreamNotFound } from './errors.ts';

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
      // Nobody answers for a bucket that is gone; while JetStream is away nobody opens one either.
      if (!isNoResponders(error) && !isStreamNotFound(error)) throw error;
      this.#bucket = await this.#open();
      return run(this.#bucket);
    }
  }
}
