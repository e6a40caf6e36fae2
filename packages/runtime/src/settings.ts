import { hostname, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { OF_COMMANDS } from '@engram/access';
import { DEFAULT_PARTITION_COUNT, isToken } from '@engram/model';
import { z } from 'zod';
import { accessProblems, accessSettings } from './access-settings.ts';
import { connectionProblems, connectionShape } from './connection-settings.ts';
import { LOG_LEVELS } from './logger.ts';
import {
  PROFILES,
  profileValues,
  thisMachine,
  WORKERS_MAX,
  type Machine,
  type Profile,
} from './profiles.ts';

const MIB = 1024 * 1024;

const token = () => z.string().refine(isToken, 'must have 1 to 64 of A-Z a-z 0-9 _ -');

/** A whole number in a range, written in digits. */
const integer = (min: number, max: number = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number in digits')
    .transform(Number)
    .pipe(z.number().int().min(min).max(max));

/** Where gateways are looked for unless they are told another port; a shard takes a free one. */
const HTTP_PORT = { gateway: 7_700, shard: 0 } as const;

/**
 * Every setting of every service with its default. All services know all of them, so that the
 * members of a cluster can share one environment.
 */
function settingsOf(role: keyof typeof HTTP_PORT, profile: Profile, machine: Machine) {
  const values = profileValues(profile, machine);
  // A name that differs between the processes of one host, and between hosts.
  const fallbackId = `${role}-${hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(-40)}-${process.pid}`;
  return {
    ENGRAM_CLUSTER: token().default('engram'),
    ENGRAM_MEMBER_ID: token().default(fallbackId),
    ...connectionShape,
    ENGRAM_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
    ENGRAM_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
    ENGRAM_PARTITIONS: integer(1, 4_096).default(DEFAULT_PARTITION_COUNT),
    ENGRAM_STRIPES: integer(1, 64).default(1),
    ENGRAM_LOG_BYTES_MAX: integer(16 * MIB).default(4_096 * MIB),
    ENGRAM_LOG_REPLICAS: integer(1, 5).default(1),
    ENGRAM_REPLICATION: integer(1, 3).default(1),
    ENGRAM_HEARTBEAT_MS: integer(50).default(500),
    ENGRAM_LEASE_TTL_MS: integer(200).default(3_000),
    ENGRAM_CONNECT_TIMEOUT_MS: integer(100).default(30_000),
    ENGRAM_DRAIN_TIMEOUT_MS: integer(0).default(20_000),
    ENGRAM_OTLP_URL: z.url({ protocol: /^https?$/ }).optional(),
    ENGRAM_TRACE_RATIO: z
      .string()
      .regex(/^(0|1|0?\.\d{1,9})$/, 'must be a number from 0 to 1, such as 0.01')
      .transform(Number)
      .default(0.01),
    ENGRAM_HTTP_PORT: integer(0, 65_535).default(HTTP_PORT[role]),
    // Gateways
    ENGRAM_ADMIN_HOST: z.string().min(1).default('127.0.0.1'),
    ENGRAM_ADMIN_PORT: integer(0, 65_535).optional(),
    ENGRAM_METRICS_HOST: z.string().min(1).default('127.0.0.1'),
    ENGRAM_METRICS_PORT: integer(0, 65_535).optional(),
    ENGRAM_METRICS_SPACES_MAX: integer(0, 1_000).default(20),
    ENGRAM_CONNECTIONS_MAX: integer(1, 1_000_000).default(24_096),
    ENGRAM_HEADERS_TIMEOUT_MS: integer(100, 600_000).default(10_000),
    ENGRAM_REQUEST_TIMEOUT_MS: integer(100, 3_600_000).default(60_000),
    ENGRAM_BODY_BYTES_MAX: integer(1_024, 256 * MIB).default(16 * MIB),
    ENGRAM_PUBLISH_TIMEOUT_MS: integer(100).default(10_000),
    ENGRAM_PUBLISHES_MAX: integer(1).default(256),
    ENGRAM_INGEST_BYTES_MAX: integer(MIB).default(256 * MIB),
    ENGRAM_UNSERVED_GRACE_MS: integer(0).default(30_000),
    ENGRAM_LOOP_DELAY_MAX_MS: integer(0, 60_000).default(20),
    ENGRAM_SPACE_OBSERVATIONS_PER_S: integer(0).default(0),
    ENGRAM_SPACE_READS_PER_S: integer(0).default(0),
    ENGRAM_SPACE_REQUESTS_MAX: integer(0).default(0),
    ENGRAM_CALLER_OBSERVATIONS_PER_S: integer(0).default(0),
    ENGRAM_CALLER_READS_PER_S: integer(0).default(0),
    ENGRAM_CALLER_REQUESTS_MAX: integer(0).default(0),
    ENGRAM_LIMITS_FILE: z.string().min(1).optional(),
    ENGRAM_RECALL_TIMEOUT_MS: integer(10).default(5_000),
    ENGRAM_RECALL_HEDGE_MS: integer(0).default(100),
    ENGRAM_SESSIONS_MAX: integer(0, 1_000_000).default(20_000),
    ENGRAM_SESSION_IDLE_MS: integer(100).default(300_000),
    ENGRAM_SESSION_MESSAGE_BYTES_MAX: integer(1_024, 64 * MIB).default(4 * MIB),
    ...accessSettings,
    // Shards
    ENGRAM_PROFILE: z.enum(PROFILES).default('production'),
    ENGRAM_WORKERS: integer(1, WORKERS_MAX).default(values.ENGRAM_WORKERS),
    ENGRAM_LANE_HIGH_MAX: integer(1).default(values.ENGRAM_LANE_HIGH_MAX),
    ENGRAM_LANE_NORMAL_MAX: integer(1).default(values.ENGRAM_LANE_NORMAL_MAX),
    ENGRAM_LANE_LOW_MAX: integer(1).default(values.ENGRAM_LANE_LOW_MAX),
    ENGRAM_LAG_HIGH_MAX_MS: integer(50).default(values.ENGRAM_LAG_HIGH_MAX_MS),
    ENGRAM_LAG_NORMAL_MAX_MS: integer(50).default(values.ENGRAM_LAG_NORMAL_MAX_MS),
    ENGRAM_LAG_LOW_MAX_MS: integer(50).default(values.ENGRAM_LAG_LOW_MAX_MS),
    ENGRAM_PRESSURE_GRACE_MS: integer(0, 60_000).default(500),
    ENGRAM_LANE_BYTES_MAX: integer(2 * MIB).default(8 * MIB),
    ENGRAM_MIN_BATCH: integer(1, 100_000).default(values.ENGRAM_MIN_BATCH),
    ENGRAM_MAX_BATCH: integer(1, 100_000).default(values.ENGRAM_MAX_BATCH),
    ENGRAM_STEAL_THRESHOLD: integer(1).default(values.ENGRAM_STEAL_THRESHOLD),
    ENGRAM_IDLE_SLEEP_MS: integer(0, 60_000).default(values.ENGRAM_IDLE_SLEEP_MS),
    ENGRAM_MEMORY_SOFT_BYTES: integer(64 * MIB).default(values.ENGRAM_MEMORY_SOFT_BYTES),
    ENGRAM_MEMORY_HARD_BYTES: integer(64 * MIB).default(values.ENGRAM_MEMORY_HARD_BYTES),
    ENGRAM_GRAPH_THRESHOLD: integer(1).default(4_000),
    ENGRAM_SEGMENT_BYTES_MAX: integer(MIB, 4_096 * MIB).default(64 * MIB),
    ENGRAM_IDLE_UNLOAD_MS: integer(1_000).default(300_000),
    ENGRAM_RECALL_SAMPLE_MS: integer(0).default(10_000),
    ENGRAM_DATA_DIR: z.string().min(1).optional(),
    ENGRAM_BLOB_STORE: z
      .string()
      .refine(
        (text) => text === 'nats' || isAbsolute(text),
        'must be "nats" or the absolute path of a folder that all shards share',
      )
      .default('nats'),
    ENGRAM_CHECKPOINT_MS: integer(100).default(30_000),
    ENGRAM_CHECKPOINT_BYTES: integer(MIB).default(32 * MIB),
    ENGRAM_LOG_KEEP_MS: integer(0).default(3_600_000),
  };
}

type Parsed = z.output<z.ZodObject<ReturnType<typeof settingsOf>>>;
export type Settings = Readonly<Omit<Parsed, 'ENGRAM_DATA_DIR'> & { ENGRAM_DATA_DIR: string }>;

/** What two settings must be to each other; the first of them is named when they are not. */
const CROSS_RULES: readonly {
  readonly fields: readonly [keyof Parsed, keyof Parsed];
  readonly holds: (all: Parsed) => boolean;
  readonly message: string;
}[] = [
  {
    fields: ['ENGRAM_LEASE_TTL_MS', 'ENGRAM_HEARTBEAT_MS'],
    holds: (all) => all.ENGRAM_LEASE_TTL_MS > 3 * all.ENGRAM_HEARTBEAT_MS,
    // Or one lost packet moves partitions.
    message: 'must be more than three times ENGRAM_HEARTBEAT_MS',
  },
  {
    fields: ['ENGRAM_HEADERS_TIMEOUT_MS', 'ENGRAM_REQUEST_TIMEOUT_MS'],
    holds: (all) => all.ENGRAM_HEADERS_TIMEOUT_MS <= all.ENGRAM_REQUEST_TIMEOUT_MS,
    message: 'must not be more than ENGRAM_REQUEST_TIMEOUT_MS',
  },
  {
    fields: ['ENGRAM_MIN_BATCH', 'ENGRAM_MAX_BATCH'],
    holds: (all) => all.ENGRAM_MIN_BATCH <= all.ENGRAM_MAX_BATCH,
    message: 'must not be more than ENGRAM_MAX_BATCH',
  },
  {
    fields: ['ENGRAM_MEMORY_SOFT_BYTES', 'ENGRAM_MEMORY_HARD_BYTES'],
    holds: (all) => all.ENGRAM_MEMORY_SOFT_BYTES < all.ENGRAM_MEMORY_HARD_BYTES,
    message: 'must be less than ENGRAM_MEMORY_HARD_BYTES',
  },
];

/**
 * Reads the `ENGRAM_` variables.
 * @throws Error that names every unknown and every wrong setting at once
 */
export function loadSettings(
  role: keyof typeof HTTP_PORT,
  environment: Readonly<Record<string, string | undefined>>,
  machine: Machine = thisMachine(),
): Settings {
  const named = PROFILES.find((profile) => profile === environment['ENGRAM_PROFILE']);
  const shape = settingsOf(role, named ?? 'production', machine);
  const given = Object.fromEntries(
    Object.entries(environment).filter(([name]) => name.startsWith('ENGRAM_')),
  );
  const problems = Object.keys(given)
    .filter((name) => !Object.hasOwn(shape, name) && !OF_COMMANDS.has(name))
    .map((name) => `${name}: there is no such setting`);
  let schema = z.object(shape);
  for (const { fields, holds, message } of CROSS_RULES)
    schema = schema.refine(holds, {
      path: [fields[0]],
      message,
      // Whatever else is wrong: everything is told at once.
      when: ({ issues }) => !issues.some(({ path }) => fields.some((field) => field === path?.[0])),
    });
  const parsed = schema.safeParse(given);
  if (!parsed.success)
    problems.push(
      ...parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
    );
  else {
    problems.push(...connectionProblems(parsed.data));
    if (role === 'gateway') problems.push(...accessProblems(parsed.data));
  }
  if (problems.length > 0 || !parsed.success)
    throw new Error(`wrong settings\n  ${problems.join('\n  ')}`);
  const settings = parsed.data;
  const fallback = join(tmpdir(), 'engram', settings.ENGRAM_CLUSTER, settings.ENGRAM_MEMBER_ID);
  return Object.freeze({ ...settings, ENGRAM_DATA_DIR: settings.ENGRAM_DATA_DIR ?? fallback });
}
