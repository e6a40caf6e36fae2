import { accessSync, constants, mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { ownIdentity } from '@engram/runtime/process-identity';
import { findNatsServer, findRedisServer } from './binaries/find.ts';
import type { ServerBinary } from './binaries/server-binary.ts';
import { ClusterMember, type ClusterEvent, type Launch } from './cluster-member.ts';
import {
  endLeftovers,
  removeClusterState,
  writeClusterState,
  type MemberRole,
} from './cluster-state.ts';
import { FileLock } from './file-lock.ts';
import {
  partitionCountOf,
  readFolderRecord,
  writeFolderRecord,
  type FolderRecord,
} from './folder-record.ts';
import { freePort, freePortLike, isPortFree, LOOPBACK, portInUse } from './loopback-port.ts';
import { startNatsServer } from './nats-server.ts';
import { startRedisServer } from './redis-server.ts';
import { startService, type ServiceKind } from './service.ts';
import { messageOf, SetupError } from './setup-error.ts';
import { lockPath } from './stop-cluster.ts';

// A whole cluster of real processes on this machine.
//
// C1 A data folder has one supervisor at a time: the lock is taken first and given back last.
// C2 A process is in the state file from the moment it exists, so a killed supervisor's children are
//    found, and ended, by whoever takes the folder next.
// C3 close() ends every process, whatever start() had reached.

export interface LocalClusterOptions {
  /** Holds everything the cluster keeps, its logs and its state file. */
  readonly dataDir: string;
  readonly shards: number;
  readonly gateways: number;
  /** Of the first gateway; the next ones follow. 0: free ones. */
  readonly port: number;
  /** Fixed for a data folder; default what the folder has, 64 for a new one. */
  readonly partitionCount?: number;
  /** Whether a process that ends unasked is started again; default false. */
  readonly restart?: boolean;
  /** Whether gateways want keys, for the folder's record; default what the folder has. */
  readonly wantsKeys?: boolean;
  /** Added to the environment of gateways and shards. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: ClusterEvent) => void;
  /** Ends a start under way. */
  readonly signal?: AbortSignal;
  /** Handed the cluster before it starts, so that it can be killed at any time. */
  readonly onCreate?: (cluster: LocalCluster) => void;
  /** Other scripts than the built services, for tests. */
  readonly entries?: Partial<Readonly<Record<ServiceKind, string>>>;
  readonly binaries?: { readonly nats: ServerBinary; readonly redis: ServerBinary };
}

const PARTITION_COUNT = 64;

export class LocalCluster implements AsyncDisposable {
  readonly dataDir: string;
  readonly nats: ClusterMember;
  readonly redis: ClusterMember;
  readonly #options: LocalClusterOptions;
  readonly #partitionCount: number;
  readonly #wantsKeys: boolean | undefined;
  readonly #lock: FileLock;
  readonly #since = new Date().toISOString();
  #gateways: ClusterMember[] = [];
  #shards: ClusterMember[] = [];
  #shardsMade = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    options: LocalClusterOptions,
    lock: FileLock,
    record: FolderRecord | undefined,
  ) {
    this.#options = options;
    this.#lock = lock;
    this.#wantsKeys = options.wantsKeys ?? record?.wantsKeys;
    this.dataDir = resolve(options.dataDir);
    const partitionCount = (this.#partitionCount =
      partitionCountOf(this.dataDir, record, options.partitionCount) ?? PARTITION_COUNT);
    const common = (name: string) => ({
      dataDir: join(this.dataDir, name),
      logFile: this.#log(`${name}-server`),
    });
    // A member's port stays the same over restarts, also of the cluster when nobody else has it:
    // clients reconnect to where it was.
    const ports = { nats: 0, redis: 0 };
    this.nats = this.#member('nats', 'nats', async (onSpawn) => {
      const binary = options.binaries?.nats ?? (await findNatsServer());
      ports.nats ||= await freePortLike(record?.natsPort);
      const { nats: port } = ports;
      return startNatsServer({ ...common('nats'), port, partitionCount, binary, onSpawn });
    });
    this.redis = this.#member('redis', 'redis', async (onSpawn) => {
      const binary = options.binaries?.redis ?? (await findRedisServer());
      ports.redis ||= await freePortLike(record?.redisPort);
      return startRedisServer({ ...common('redis'), port: ports.redis, binary, onSpawn });
    });
  }

  /**
   * Starts NATS and Redis, then shards and gateways, and resolves when all have answered. A failure
   * ends what had started.
   * @throws SetupError
   */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const dataDir = resolve(options.dataDir);
    const lock = lockFolder(dataDir); // C1
    let cluster: LocalCluster;
    try {
      await endLeftovers(dataDir);
      cluster = new LocalCluster(options, lock, readFolderRecord(dataDir));
    } catch (error) {
      lock.release();
      throw error;
    }
    options.onCreate?.(cluster);
    const abort = (): void => void cluster.close();
    options.signal?.addEventListener('abort', abort);
    try {
      options.signal?.throwIfAborted();
      await cluster.#start();
      options.signal?.throwIfAborted();
      return cluster;
    } catch (error) {
      await cluster.close(); // C3
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
    }
  }

  get gateways(): readonly ClusterMember[] {
    return this.#gateways;
  }

  get shards(): readonly ClusterMember[] {
    return this.#shards;
  }

  /** Of the first gateway. */
  get url(): string {
    const [first] = this.#gateways;
    if (first === undefined) throw new Error('the cluster has no gateway');
    return first.url;
  }

  async #start(): Promise<void> {
    const ports = await gatewayPorts(this.#options.port, this.#options.gateways);
    this.#save();
    await allStarted([this.nats, this.redis]);
    // The services make the log with this number of partitions, and it can never have another.
    writeFolderRecord(this.dataDir, {
      partitionCount: this.#partitionCount,
      natsPort: this.nats.port,
      redisPort: this.redis.port,
      ...(this.#wantsKeys === undefined ? {} : { wantsKeys: this.#wantsKeys }),
    });
    this.#gateways = ports.map((port, index) => this.#service('gateway', index + 1, port));
    this.#shards = Array.from({ length: this.#options.shards }, () => this.#nextShard());
    await allStarted([...this.#gateways, ...this.#shards]);
  }

  /** Adds a shard, which takes over its part of the partitions. */
  async addShard(): Promise<ClusterMember> {
    if (this.#closing !== undefined) throw new SetupError('START_FAILED', 'the cluster is closed');
    const shard = this.#nextShard();
    this.#shards = [...this.#shards, shard];
    try {
      await shard.start();
      return shard;
    } catch (error) {
      await this.removeShard(shard.id);
      throw error;
    }
  }

  /** Lets a shard drain and hand its partitions over, then forgets it. */
  async removeShard(id: string): Promise<void> {
    const shard = this.#shards.find((each) => each.id === id);
    if (shard === undefined) throw new RangeError(`there is no shard ${id}`);
    await shard.close();
    this.#shards = this.#shards.filter((each) => each !== shard);
    this.#save();
  }

  /** Ends gateways, then shards, then Redis and NATS. Memoised; the data stays. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** SIGKILL to every process, at once: for a supervisor that has no time left to close. */
  kill(): void {
    for (const member of [...this.#gateways, ...this.#shards, this.redis, this.nats]) member.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const steps = [this.#gateways, this.#shards, [this.redis, this.nats]];
    for (const members of steps) await Promise.all(members.map((each) => each.close()));
    removeClusterState(this.dataDir);
    this.#lock.release();
  }

  #nextShard(): ClusterMember {
    return this.#service('shard', ++this.#shardsMade, 0);
  }

  #service(kind: ServiceKind, number: number, port: number): ClusterMember {
    const id = `${kind}-${number}`;
    const entry = this.#options.entries?.[kind];
    return this.#member(id, kind, (onSpawn) =>
      startService({
        kind,
        name: id,
        logFile: this.#log(id),
        onSpawn,
        ...(entry === undefined ? {} : { entry }),
        env: {
          ENGRAM_LOG_LEVEL: 'info',
          ...this.#shareOfCores(),
          ...this.#options.env,
          ENGRAM_MEMBER_ID: id,
          ENGRAM_NATS_URL: this.nats.url,
          ENGRAM_REDIS_URL: this.redis.url,
          ENGRAM_HTTP_HOST: LOOPBACK,
          ENGRAM_HTTP_PORT: String(port),
          ENGRAM_PARTITIONS: String(this.#partitionCount),
          // Beside the rest of the cluster's data: the system's folder may be memory.
          ENGRAM_DATA_DIR: join(this.dataDir, 'segments', id),
        },
      }),
    );
  }

  /** A shard takes a machine for its own, unless it is told how many threads it has. */
  #shareOfCores(): Readonly<Record<string, string>> {
    const { env = {}, shards } = this.#options;
    if (env['ENGRAM_PROFILE'] !== undefined) return {};
    const threads = Math.floor(availableParallelism() / Math.max(1, shards));
    return { ENGRAM_WORKERS: String(Math.max(1, threads)) };
  }

  #member(id: string, role: MemberRole, launch: Launch): ClusterMember {
    return new ClusterMember({
      id,
      role,
      launch,
      restart: this.#options.restart ?? false,
      onEvent: (event) => this.#options.onEvent?.(event),
      onChange: () => this.#save(),
    });
  }

  #log(name: string): string {
    return join(this.dataDir, 'logs', `${name}.log`);
  }

  /** C2 */
  #save(): void {
    const members = [this.nats, this.redis, ...this.#shards, ...this.#gateways];
    writeClusterState(this.dataDir, {
      supervisor: ownIdentity(),
      since: this.#since,
      partitionCount: this.#partitionCount,
      members: members.flatMap((each) => each.state ?? []),
    });
  }
}

/** Waits for all, so that none is still starting when a failure is reported. */
async function allStarted(members: readonly ClusterMember[]): Promise<void> {
  const results = await Promise.allSettled(members.map((each) => each.start()));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function lockFolder(dataDir: string): FileLock {
  try {
    mkdirSync(dataDir, { recursive: true });
    accessSync(dataDir, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new SetupError(
      'DATA_DIR_UNUSABLE',
      `the data folder ${dataDir} cannot be written: ${messageOf(cause)}`,
      { hint: 'choose another with --data', cause },
    );
  }
  const lock = FileLock.tryAcquire(lockPath(dataDir));
  if (lock instanceof FileLock) return lock;
  throw new SetupError(
    'ALREADY_RUNNING',
    `a cluster already runs on ${dataDir} (process ${lock.pid})`,
    { hint: 'stop it with: engram down' },
  );
}

async function gatewayPorts(first: number, count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let index = 0; index < count; index++) {
    const port = first === 0 ? await freePort() : first + index;
    if (!(await isPortFree(port))) throw portInUse(port);
    ports.push(port);
  }
  return ports;
}
