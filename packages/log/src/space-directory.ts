import {
  ClusterError,
  isToken,
  parseSpaceOptions,
  type PartitionId,
  type SpaceConfig,
  type SpaceId,
  type SpaceOptions,
} from '@engram/model';
import { Repeater, type Clock, type Logger } from '@engram/runtime';
import type { KV, KvEntry, QueuedIterator } from 'nats';
import { Bucket } from './bucket.ts';
import type { LogConnection } from './connection.ts';
import { isWrongLastSequence, toLogError } from './errors.ts';
import { streamHead } from './streams.ts';
import { spaceSubject, streamName, stripeOf } from './subjects.ts';

const BUCKET = 'engram-spaces';
const CREATE_ATTEMPTS = 5;
/** Between two looks whether the bucket is still the one that is watched. */
const LOOK_MS = 5_000;

export type SpaceChange =
  | { readonly kind: 'put'; readonly config: SpaceConfig }
  | { readonly kind: 'delete'; readonly space: SpaceId };

interface DirectoryOptions {
  readonly stripeCount: number;
  readonly replicas: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The spaces of the cluster, in a JetStream KV bucket. Reads come from a copy that a watch keeps
 * current; a name that the copy lacks is looked up in the bucket, so a space is known everywhere as
 * soon as its creation was answered. What the bucket loses, or what is damaged in it, is put back from
 * the copies: a space goes only when somebody deletes it.
 */
export class SpaceDirectory implements AsyncDisposable {
  readonly #connection: LogConnection;
  readonly #bucket: Bucket<KV>;
  readonly #options: DirectoryOptions;
  readonly #spaces = new Map<SpaceId, { config: SpaceConfig; revision: number }>();
  /** Names under which something stands that is no space. */
  readonly #damaged = new Set<SpaceId>();
  readonly #listeners = new Set<(change: SpaceChange) => void>();
  #watch: QueuedIterator<KvEntry> | undefined;
  #watching: Promise<void> | undefined;
  /** When the bucket was made that is watched. */
  #createdAt: string | undefined;
  #looks: Repeater | undefined;

  private constructor(connection: LogConnection, bucket: Bucket<KV>, options: DirectoryOptions) {
    this.#connection = connection;
    this.#bucket = bucket;
    this.#options = options;
  }

  static async start(
    connection: LogConnection,
    options: DirectoryOptions,
  ): Promise<SpaceDirectory> {
    const { replicas, clock, logger } = options;
    const { views } = connection.nc.jetstream();
    const bucket = await Bucket.start(() => views.kv(BUCKET, { history: 1, replicas }));
    const directory = new SpaceDirectory(connection, bucket, options);
    await directory.#startWatch();
    directory.#looks = new Repeater({
      clock,
      intervalMs: LOOK_MS,
      run: () => directory.#look(),
      onError: (error) => logger.warn({ err: error }, 'the bucket of spaces is not looked at yet'),
    });
    return directory;
  }

  /** Every space in ascending order of name. */
  list(): SpaceConfig[] {
    return [...this.#spaces.values()]
      .map(({ config }) => config)
      .sort((left, right) => (left.space < right.space ? -1 : 1));
  }

  /** From the copy only: for hot paths that may fall back to `find`. */
  peek(space: SpaceId): SpaceConfig | undefined {
    return this.#spaces.get(space)?.config;
  }

  /**
   * @param afterSequence somebody has seen a space of this name that began behind it: one that began
   * before is asked for anew, because it was deleted and made again
   * @throws ClusterError LOG_UNAVAILABLE when the bucket has to be asked and cannot be; SPACE_DAMAGED for
   * a record that is there and cannot be read: that is not the same as no space
   */
  async find(space: SpaceId, afterSequence = 0): Promise<SpaceConfig | undefined> {
    const known = this.peek(space);
    if (known !== undefined && known.afterSequence >= afterSequence) return known;
    this.#requireConnection();
    try {
      const entry = await this.#bucket.use((kv) => kv.get(space));
      if (entry !== null) this.#accept(entry);
      else this.#damaged.delete(space);
    } catch (error) {
      throw toLogError(error);
    }
    if (this.#damaged.has(space))
      throw new ClusterError('SPACE_DAMAGED', `the record of space ${space} cannot be read`, {
        hint: `put it back in the bucket ${BUCKET}, or delete its key if the space is to go`,
      });
    return this.peek(space);
  }

  /**
   * Puts a space back that the bucket knows nothing of, not even that it was deleted, or nothing that
   * could be read.
   * @returns what the bucket has now; undefined where the space was deleted
   * @throws ClusterError LOG_UNAVAILABLE
   */
  async recover(config: SpaceConfig): Promise<SpaceConfig | undefined> {
    const { space } = config;
    this.#requireConnection();
    try {
      const entry = await this.#bucket.use((kv) => kv.get(space));
      if (entry !== null) {
        this.#accept(entry);
        if (!this.#damaged.has(space)) return this.peek(space);
      }
      await this.#putBack(config, entry?.revision ?? 0);
      this.#options.logger.error({ space }, 'a space that was lost is put back from a checkpoint');
      return config;
    } catch (error) {
      if (!isWrongLastSequence(error)) throw toLogError(error);
      return this.find(space);
    }
  }

  onChange(listener: (change: SpaceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Creates the space, or gives the one that exists; the caller compares the options. */
  async create(
    space: SpaceId,
    partition: PartitionId,
    options: SpaceOptions,
  ): Promise<{ readonly config: SpaceConfig; readonly isNew: boolean }> {
    // A space that is made and deleted at the same time by others may have to be tried again.
    for (let attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
      const existing = await this.find(space);
      if (existing !== undefined) return { config: existing, isNew: false };
      const config: SpaceConfig = {
        space,
        ...options,
        afterSequence: await streamHead(
          this.#connection,
          stripeOf(partition, this.#options.stripeCount),
        ),
        createdAt: new Date(this.#options.clock.wallNow()).toISOString(),
      };
      try {
        const revision = await this.#bucket.use((kv) => kv.create(space, JSON.stringify(config)));
        this.#put(config, revision);
        return { config, isNew: true };
      } catch (error) {
        if (!isWrongLastSequence(error)) throw toLogError(error);
      }
    }
    throw new ClusterError('LOG_UNAVAILABLE', 'others make and delete the space all the time');
  }

  /** Removes the space and its entries from the log; false when there was none. */
  async delete(space: SpaceId, partition: PartitionId): Promise<boolean> {
    if ((await this.find(space)) === undefined) return false;
    this.#requireConnection();
    const stripe = stripeOf(partition, this.#options.stripeCount);
    // Read first: what comes after belongs to a space that is made again under the same name.
    const head = await streamHead(this.#connection, stripe);
    try {
      await this.#bucket.use((kv) => kv.delete(space));
      this.#remove(space, Number.MAX_SAFE_INTEGER);
      const jsm = await this.#connection.nc.jetstreamManager({ checkAPI: false });
      await jsm.streams.purge(streamName(stripe), {
        filter: spaceSubject(partition, space),
        seq: head + 1,
      });
    } catch (error) {
      throw toLogError(error);
    }
    return true;
  }

  async close(): Promise<void> {
    await this.#looks?.close();
    this.#watch?.stop();
    await this.#watching;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The library would wait for its own timeout before it tells. */
  #requireConnection(): void {
    if (this.#connection.isConnected) return;
    throw new ClusterError('LOG_UNAVAILABLE', 'the spaces cannot be reached: NATS is away');
  }

  async #startWatch(): Promise<void> {
    const { promise: isCurrent, resolve } = withResolvers();
    this.#createdAt = await this.#madeAt();
    this.#watch = await this.#bucket.use((kv) => kv.watch({ initializedFn: resolve }));
    this.#watching = (async (entries) => {
      for await (const entry of entries) {
        this.#accept(entry);
        await this.#mend(entry);
      }
    })(this.#watch).catch((error: unknown) => {
      this.#createdAt = undefined; // it begins anew with the next look
      this.#options.logger.error({ err: error }, 'the watch of the spaces ended');
      resolve();
    });
    await isCurrent;
  }

  async #madeAt(): Promise<string | undefined> {
    const status = await this.#bucket.use((kv) => kv.status());
    return status.streamInfo.created;
  }

  /** A bucket that somebody deleted is made again, with the spaces that are known here. */
  async #look(): Promise<void> {
    if (!this.#connection.isConnected || (await this.#madeAt()) === this.#createdAt) return;
    const { logger } = this.#options;
    logger.error({ spaces: this.#spaces.size }, 'the bucket of spaces is another one');
    this.#watch?.stop();
    await this.#watching;
    // Its revisions begin anew.
    for (const known of this.#spaces.values()) {
      known.revision = 0;
      await this.#putBack(known.config, 0).catch((error: unknown) => {
        if (!isWrongLastSequence(error)) throw error;
      });
    }
    await this.#startWatch();
  }

  /** What was damaged under the name of a known space is replaced by it. */
  async #mend({ key, revision }: KvEntry): Promise<void> {
    const known = this.#spaces.get(key as SpaceId);
    if (known === undefined || !this.#damaged.has(known.config.space)) return;
    const { space } = known.config;
    try {
      await this.#putBack(known.config, revision);
      this.#options.logger.error({ space }, 'a damaged record of a space is put back');
    } catch (error) {
      if (isWrongLastSequence(error)) return; // somebody else did
      this.#options.logger.error({ err: error, space }, 'a damaged record cannot be put back');
    }
  }

  async #putBack(config: SpaceConfig, previousSeq: number): Promise<void> {
    const text = JSON.stringify(config);
    const revision = await this.#bucket.use((kv) => kv.put(config.space, text, { previousSeq }));
    this.#damaged.delete(config.space);
    this.#put(config, revision);
  }

  #accept(entry: KvEntry): void {
    if (!isToken(entry.key)) return;
    const space = entry.key as SpaceId;
    if (entry.operation !== 'PUT') {
      this.#damaged.delete(space);
      this.#remove(space, entry.revision);
      return;
    }
    try {
      const config = parseConfig(space, entry.json());
      this.#damaged.delete(space);
      this.#put(config, entry.revision);
    } catch (error) {
      this.#damaged.add(space);
      this.#options.logger.error({ err: error, space }, 'a space has a damaged configuration');
    }
  }

  #put(config: SpaceConfig, revision: number): void {
    const before = this.#spaces.get(config.space);
    // One that began later is later, also in a bucket that was made anew and counts from the beginning.
    const isLater = config.afterSequence > (before?.config.afterSequence ?? -1);
    if (before !== undefined && before.revision >= revision && !isLater) return;
    this.#spaces.set(config.space, { config, revision });
    this.#announce({ kind: 'put', config });
  }

  #remove(space: SpaceId, revision: number): void {
    const before = this.#spaces.get(space);
    if (before === undefined || before.revision >= revision) return;
    this.#spaces.delete(space);
    this.#announce({ kind: 'delete', space });
  }

  #announce(change: SpaceChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function parseConfig(space: SpaceId, value: unknown): SpaceConfig {
  // Records of version 0.1 have no quantization, and get their engine's default.
  const { dimension, metric, engine, quantization, m, efConstruction, afterSequence, createdAt } =
    value as Readonly<Record<string, unknown>>;
  return {
    space,
    ...parseSpaceOptions({ dimension, metric, engine, quantization, m, efConstruction }),
    afterSequence: Number(afterSequence ?? 0),
    createdAt: String(createdAt),
  };
}

/** `Promise.withResolvers` is not in Node 20. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
