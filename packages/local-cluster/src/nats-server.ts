import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ProcessIdentity } from '@engram/runtime/process-identity';
import { findNatsServer } from './binaries/find.ts';
import type { ServerBinary } from './binaries/server-binary.ts';
import { Child } from './child.ts';
import { answers } from './line-probe.ts';
import { freePort, LOOPBACK } from './loopback-port.ts';
import { serverProcess, whenAnswering, type ServerProcess } from './server-process.ts';

interface NatsRoutes {
  /** Where this one listens for the others. */
  readonly port: number;
  /** Where all of them do. */
  readonly ports: readonly number[];
}

export interface NatsServerOptions {
  /** Holds the JetStream store and the generated configuration. */
  readonly dataDir: string;
  /** 0 or none: a free one. */
  readonly port?: number;
  readonly partitionCount: number;
  /** One of several servers, which keep the log in copies. */
  readonly cluster?: NatsRoutes;
  /** Default `nats-server.log` in the data folder. */
  readonly logFile?: string;
  /** Default: found, or fetched. */
  readonly binary?: ServerBinary;
  readonly deadlineMs?: number;
  readonly onSpawn?: (identity: ProcessIdentity) => void;
}

/** JetStream reads its whole store back at start. */
const START_DEADLINE_MS = 60_000;
const CLOSE_DEADLINE_MS = 15_000;

/**
 * Starts a nats-server with JetStream on the loopback interface.
 * @throws SetupError BINARY_MISSING or START_FAILED
 */
export async function startNatsServer(options: NatsServerOptions): Promise<ServerProcess> {
  const binary = options.binary ?? (await findNatsServer());
  const dataDir = resolve(options.dataDir);
  const port = options.port === undefined || options.port === 0 ? await freePort() : options.port;
  const serverName = natsServerName(dataDir);
  await mkdir(dataDir, { recursive: true });
  const config = join(dataDir, 'nats.conf');
  const { partitionCount, cluster } = options;
  await writeFile(config, natsConfig({ serverName, port, dataDir, partitionCount, cluster }));
  const child = await Child.spawn({
    name: 'nats-server',
    program: binary.path,
    args: ['--config', config],
    env: {},
    logFile: options.logFile ?? join(dataDir, 'nats-server.log'),
    ...(options.onSpawn === undefined ? {} : { onSpawn: options.onSpawn }),
  });
  // The name tells this server from another that already had the port.
  const probe = (): Promise<boolean> =>
    answers(
      port,
      'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n',
      (answer) =>
        answer.includes(`"server_name":"${serverName}"`) &&
        answer.includes('"jetstream":true') &&
        answer.includes('PONG\r\n'),
    );
  await whenAnswering(child, probe, options.deadlineMs ?? START_DEADLINE_MS);
  return serverProcess(child, 'nats', port, CLOSE_DEADLINE_MS);
}

/** The same for the same data folder, different for another. */
function natsServerName(dataDir: string): string {
  return `engram-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;
}

interface NatsConfig {
  readonly serverName: string;
  readonly port: number;
  readonly dataDir: string;
  readonly partitionCount: number;
  readonly cluster?: NatsRoutes | undefined;
}

/** The configuration file: loopback only, nothing but clients, JetStream and other servers of the log. */
export function natsConfig({
  serverName,
  port,
  dataDir,
  partitionCount,
  cluster,
}: NatsConfig): string {
  return `# Generated at every start.
server_name: ${quote(serverName)}
listen: ${quote(`${LOOPBACK}:${port}`)}
max_payload: 1MB
# Clients get no grace on this machine; 30s is the shortest duration that the server takes.
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
jetstream {
  # The server adds a folder of the name jetstream.
  store_dir: ${quote(dataDir)}
  # At most this much is lost when the machine, not just the process, goes down.
  sync_interval: "1s"
}
# Plain publishers need not know the partitions: observe.<lane>.<space> goes to the partition of the
# space, because partition() is the same hash.
mappings = {
  "observe.*.*": "obs.{{partition(${partitionCount},2)}}.{{wildcard(1)}}.{{wildcard(2)}}"
}
${cluster === undefined ? '' : routes(cluster)}`;
}

function routes({ port, ports }: NatsRoutes): string {
  const urls = ports.map((each) => quote(`nats://${LOOPBACK}:${each}`));
  return `cluster {
  name: "engram"
  listen: ${quote(`${LOOPBACK}:${port}`)}
  routes: [${urls.join(', ')}]
}
`;
}

function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
