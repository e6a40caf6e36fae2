import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ClusterMember, LocalCluster } from '@engram/local-cluster';
import { startTestCluster, type TestCluster } from '../cluster.ts';
import { repositoryRoot } from '../repository.ts';
import { TcpProxy } from './tcp-proxy.ts';

const run = promisify(execFile);

export interface ChaosClusterOptions {
  readonly shards: number;
  readonly gateways: number;
  readonly env?: Readonly<Record<string, string>>;
}

interface MemberProxies {
  readonly nats: TcpProxy;
  readonly redis: TcpProxy;
}

/** The data folder of one shard, on a small file system of its own. */
interface SmallDisk {
  readonly shard: string;
  readonly path: string;
}

/** A cluster whose every member reaches NATS and Redis through proxies of its own. */
export interface ChaosCluster extends TestCluster {
  readonly env: Readonly<Record<string, string>>;
  proxies(id: string): MemberProxies;
  /** Where a member looks for how far its wall clock is ahead. */
  clockFile(id: string): string;
  shardFolder(id: string): string;
  /** Undefined where no file system may be mounted; `noDisk` then says why. */
  readonly disk: SmallDisk | undefined;
  readonly noDisk: string | undefined;
}

const DISK_BYTES = 16 * 1024 * 1024;

export async function startChaosCluster(options: ChaosClusterOptions): Promise<ChaosCluster> {
  const { shards, gateways } = options;
  // Rows leave memory soon, so that files are there to be damaged and disks to be filled.
  const env = {
    ENGRAM_SEGMENT_BYTES_MAX: String(1024 * 1024),
    ENGRAM_IDLE_UNLOAD_MS: '1000',
    ENGRAM_GRAPH_THRESHOLD: '500',
    // Often, and the log is trimmed soon: shards that start must go on from checkpoints.
    ENGRAM_CHECKPOINT_MS: '2000',
    ENGRAM_LOG_KEEP_MS: '8000',
    ...options.env,
  };
  const ids = [
    ...Array.from({ length: gateways }, (_, i) => `gateway-${i + 1}`),
    ...Array.from({ length: shards }, (_, i) => `shard-${i + 1}`),
  ];
  const created: { cluster?: LocalCluster } = {};
  const proxies = new Map<string, MemberProxies>();
  const target = (server: 'nats' | 'redis') => () => ({
    host: '127.0.0.1',
    port: created.cluster?.[server].port ?? 0,
  });
  for (const id of ids)
    proxies.set(id, {
      nats: await TcpProxy.start(target('nats')),
      redis: await TcpProxy.start(target('redis')),
    });
  const closeProxies = async (): Promise<void> => {
    for (const { nats, redis } of proxies.values()) {
      await nats.close();
      await redis.close();
    }
  };
  const root = repositoryRoot();
  const entry = fileURLToPath(new URL('test/support/faults/member-entry.mjs', root));
  const diskShard = 'shard-1';
  let disk: SmallDisk | undefined;
  let noDisk: string | undefined;
  let folder = '';
  const clockFile = (id: string): string => join(folder, `${id}.clock`);
  const settings = { text: '' };
  const allEnv = {
    ...env,
    get CHAOS_SETTINGS() {
      return settings.text;
    },
  };
  let running: TestCluster;
  try {
    running = await startTestCluster({
      shards,
      gateways,
      env: allEnv,
      entries: { gateway: entry, shard: entry },
      onCreate: (cluster) => (created.cluster = cluster),
      prepare: async (dataDir) => {
        folder = dataDir;
        const members = ids.map((id) => {
          const { nats, redis } = proxies.get(id)!;
          const place = { natsPort: nats.port, redisPort: redis.port, clockFile: clockFile(id) };
          return [id, place] as const;
        });
        const main = (kind: string) => new URL(`services/${kind}/dist/main.js`, root).href;
        settings.text = JSON.stringify({
          entries: { gateway: main('gateway'), shard: main('shard') },
          members: Object.fromEntries(members),
        });
        const path = join(dataDir, 'segments', diskShard);
        noDisk = await mountDisk(path);
        if (noDisk !== undefined) return () => Promise.resolve();
        disk = { shard: diskShard, path };
        return async () => {
          await run('umount', [path]);
        };
      },
    });
  } catch (error) {
    await closeProxies();
    throw error;
  }
  return {
    ...running,
    env,
    proxies: (id) => proxies.get(id)!,
    clockFile,
    shardFolder: (id) => join(folder, 'segments', id),
    disk,
    noDisk,
    async [Symbol.asyncDispose]() {
      for (const { nats, redis } of proxies.values()) for (const each of [nats, redis]) each.heal();
      await running[Symbol.asyncDispose]();
      await closeProxies();
    },
  };
}

/** @returns why it could not be, or undefined */
async function mountDisk(path: string): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'a small file system can only be mounted by root on Linux';
  await mkdir(path, { recursive: true });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'engram-test', path]);
    return undefined;
  } catch (error) {
    return `no file system can be mounted: ${String(error)}`;
  }
}

/** Starts the next process in a member's place, when there is none. */
export async function revive(member: ClusterMember): Promise<void> {
  if (!member.running) await member.start();
}

/** SIGKILL, and waits until it has ended. */
export async function killMember(member: ClusterMember): Promise<void> {
  if (!member.running) return;
  const { exited } = member;
  member.signal('SIGKILL');
  await exited;
}
