import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ProcessIdentity } from '@engram/runtime/process-identity';
import { findRedisServer } from './binaries/find.ts';
import type { ServerBinary } from './binaries/server-binary.ts';
import { Child } from './child.ts';
import { answers } from './line-probe.ts';
import { freePort, LOOPBACK } from './loopback-port.ts';
import { serverProcess, whenAnswering, type ServerProcess } from './server-process.ts';

export interface RedisServerOptions {
  /** Holds the append-only files and the generated configuration. */
  readonly dataDir: string;
  /** 0 or none: a free one. */
  readonly port?: number;
  /** Default `redis-server.log` in the data folder. */
  readonly logFile?: string;
  /** Default: found, or fetched. */
  readonly binary?: ServerBinary;
  readonly deadlineMs?: number;
  readonly onSpawn?: (identity: ProcessIdentity) => void;
}

const START_DEADLINE_MS = 30_000;
const CLOSE_DEADLINE_MS = 10_000;

/**
 * Starts a redis-server with an append-only file on the loopback interface.
 * @throws SetupError BINARY_MISSING or START_FAILED
 */
export async function startRedisServer(options: RedisServerOptions): Promise<ServerProcess> {
  const binary = options.binary ?? (await findRedisServer());
  const dataDir = resolve(options.dataDir);
  const port = options.port === undefined || options.port === 0 ? await freePort() : options.port;
  await mkdir(dataDir, { recursive: true });
  const config = join(dataDir, 'redis.conf');
  await writeFile(config, redisConfig({ port, dataDir }));
  const child = await Child.spawn({
    name: 'redis-server',
    program: binary.path,
    args: [config],
    env: binary.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: binary.libraryPath },
    logFile: options.logFile ?? join(dataDir, 'redis-server.log'),
    ...(options.onSpawn === undefined ? {} : { onSpawn: options.onSpawn }),
  });
  // PING is refused while the append-only file is read; the pid tells this server from another
  // that already had the port.
  const probe = (): Promise<boolean> =>
    answers(
      port,
      'PING\r\nINFO server\r\n',
      (answer) => answer.startsWith('+PONG') && answer.includes(`process_id:${child.pid}\r\n`),
    );
  await whenAnswering(child, probe, options.deadlineMs ?? START_DEADLINE_MS);
  return serverProcess(child, 'redis', port, CLOSE_DEADLINE_MS);
}

/** The configuration file: loopback only, no snapshots, nothing is ever evicted. */
export function redisConfig({ port, dataDir }: { port: number; dataDir: string }): string {
  return `# Generated at every start.
bind ${LOOPBACK}
port ${port}
protected-mode yes
daemonize no
dir "${dataDir.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
`;
}
