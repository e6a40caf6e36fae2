import { OF_COMMANDS, wantsCredentials } from '@engram/access';
import { UsageError } from '../output.ts';

/** What the environment decides about the cluster that `up` starts. */
export interface UpSettings {
  /** Undefined: what the data folder has, or the default. */
  readonly partitionCount: number | undefined;
  /** Whether callers of gateways need a key; undefined where the environment says nothing of it. */
  readonly wantsKeys: boolean | undefined;
  /** Goes through to gateways and shards. */
  readonly services: Readonly<Record<string, string>>;
}

const PARTITIONS_MAX = 4_096;

/** Settings that `up` decides for each member; taken silently they would have no effect. */
const OWN: Readonly<Record<string, string>> = {
  ENGRAM_MEMBER_ID: 'up names its members itself, choose how many with --shards and --gateways',
  ENGRAM_NATS_URL: 'up starts a NATS of its own, choose its folder with --data',
  ENGRAM_REDIS_URL: 'up starts a Redis of its own, choose its folder with --data',
  ENGRAM_NATS_CREDS_FILE: 'its NATS takes everybody on this machine',
  ENGRAM_NATS_NKEY_FILE: 'its NATS takes everybody on this machine',
  ENGRAM_HTTP_TLS_CERT_FILE: 'up listens on 127.0.0.1 only, in the clear',
  ENGRAM_HTTP_HOST: 'up listens on 127.0.0.1 only',
  ENGRAM_ADMIN_PORT: 'its gateways would all listen there',
  ENGRAM_METRICS_PORT: 'its gateways would all listen there',
  ENGRAM_HTTP_PORT: 'choose the port of the first gateway with --port',
};

/** Of docker-compose.yml, which OPERATIONS.md has people set; they mean nothing here. */
const OF_COMPOSE: ReadonlySet<string> = new Set([
  'ENGRAM_PORT',
  'ENGRAM_KEYS',
  'ENGRAM_NATS_CONFIG',
  'ENGRAM_NATS_HOST',
  'ENGRAM_REDIS_HOST',
]);

/**
 * @param replication what was typed, which means more than the environment
 * @throws UsageError that names the setting that cannot be used
 */
export function upSettings(environment: NodeJS.ProcessEnv, replication?: number): UpSettings {
  const services: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('ENGRAM_') || value === undefined) continue;
    if (OF_COMMANDS.has(name) || OF_COMPOSE.has(name)) continue;
    const instead = OWN[name];
    if (instead !== undefined) throw new UsageError(`${name} is not for up: ${instead}; unset it`);
    if (name !== 'ENGRAM_PARTITIONS') services[name] = value;
  }
  if (replication !== undefined) services['ENGRAM_REPLICATION'] = String(replication);
  return {
    partitionCount: partitionsOf(environment['ENGRAM_PARTITIONS']),
    wantsKeys: wantsCredentials(services),
    services,
  };
}

function partitionsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (text.trim() !== '' && Number.isSafeInteger(count) && count >= 1 && count <= PARTITIONS_MAX)
    return count;
  throw new UsageError(
    `ENGRAM_PARTITIONS must be a whole number from 1 to ${PARTITIONS_MAX}, not ${JSON.stringify(text)}`,
  );
}
