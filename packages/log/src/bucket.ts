import type { KV, KvOptions } from 'nats';
import type { LogConnection } from './connection.ts';
import { isNoResponders } from './errors.ts';

/** A JetStream KV bucket without history that is made again when someone deleted it. */
export class Bucket {
  readonly #open: () => Promise<KV>;
  #kv: KV;

  private constructor(open: () => Promise<KV>, kv: KV) {
    this.#open = open;
    this.#kv = kv;
  }

  static async start(
    connection: LogConnection,
    name: string,
    options: Pick<KvOptions, 'replicas'> & Partial<Pick<KvOptions, 'ttl' | 'max_bytes'>>,
  ): Promise<Bucket> {
    const open = () => connection.nc.jetstream().views.kv(name, { history: 1, ...options });
    return new Bucket(open, await open());
  }

  async use<T>(run: (kv: KV) => Promise<T>): Promise<T> {
    try {
      return await run(this.#kv);
    } catch (error) {
      // Nobody answers for a bucket that is gone, and nobody does while JetStream is away: then nor now.
      if (!isNoResponders(error)) throw error;
      this.#kv = await this.#open();
      return run(this.#kv);
    }
  }
}
