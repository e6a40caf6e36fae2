import { hostname } from 'node:os';
import { DEFAULT_PARTITION_COUNT, isToken } from '@engram/model';
import { z } from 'zod';
import { LOG_LEVELS } from './logger.ts';

const MIB = 1024 * 1024;

const token = () => z.string().refine(isToken, 'must have 1 to 64 of A-Z a-z 0-9 _ -');

/** A whole number in a range, written in digits. */
export const integer = (min: number, max: number = Number.MAX_SAFE_INTEGER) =>
  z.coerce.number().int().min(min).max(max);

/** The settings that every service of a cluster has; the defaults of all of them stand here. */
export function memberSettings(role: string) {
  // A name that differs between the processes of one host, and between hosts.
  const fallbackId = `${role}-${hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(-40)}-${process.pid}`;
  return {
    ENGRAM_CLUSTER: token().default('engram'),
    ENGRAM_MEMBER_ID: token().default(fallbackId),
    ENGRAM_NATS_URL: z.url({ protocol: /^(nats|tls)$/ }).default('nats://127.0.0.1:4222'),
    ENGRAM_REDIS_URL: z.url({ protocol: /^rediss?$/ }).default('redis://127.0.0.1:6379'),
    ENGRAM_HTTP_HOST: z.string().min(1).default('127.0.0.1'),
    ENGRAM_LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
    ENGRAM_PARTITIONS: integer(1, 4_096).default(DEFAULT_PARTITION_COUNT),
    ENGRAM_STRIPES: integer(1, 64).default(1),
    ENGRAM_LOG_BYTES_MAX: integer(16 * MIB).default(4_096 * MIB),
    ENGRAM_LOG_REPLICAS: integer(1, 5).default(1),
    ENGRAM_HEARTBEAT_MS: integer(50).default(500),
    ENGRAM_LEASE_TTL_MS: integer(200).default(3_000),
    ENGRAM_CONNECT_TIMEOUT_MS: integer(100).default(30_000),
    ENGRAM_DRAIN_TIMEOUT_MS: integer(0).default(20_000),
  };
}

interface MemberTimes {
  readonly ENGRAM_HEARTBEAT_MS: number;
  readonly ENGRAM_LEASE_TTL_MS: number;
}

/**
 * Reads the `ENGRAM_` variables by a schema.
 * @throws Error that names every unknown and every wrong setting at once
 */
export function loadSettings<T extends z.ZodRawShape & ReturnType<typeof memberSettings>>(
  shape: T,
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<z.output<z.ZodObject<T>>> {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([name]) => name.startsWith('ENGRAM_')),
  );
  const problems = Object.keys(given)
    .filter((name) => !Object.hasOwn(shape, name))
    .map((name) => `${name}: there is no such setting`);
  const parsed = z.object(shape).safeParse(given);
  if (!parsed.success)
    problems.push(
      ...parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`),
    );
  else {
    const times = parsed.data as unknown as MemberTimes;
    // One lost packet must not move partitions.
    if (times.ENGRAM_LEASE_TTL_MS <= 3 * times.ENGRAM_HEARTBEAT_MS)
      problems.push('ENGRAM_LEASE_TTL_MS: must be more than three times ENGRAM_HEARTBEAT_MS');
    if (problems.length === 0) return Object.freeze(parsed.data);
  }
  throw new Error(`wrong settings\n  ${problems.join('\n  ')}`);
}
