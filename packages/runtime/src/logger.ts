import { pino, stdSerializers, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

interface LoggerOptions {
  /** Default: standard output. */
  readonly write?: (line: string) => void;
}

/** JSON lines; embeddings, metadata, passwords and keys are never logged. */
export function createLogger(
  role: string,
  member: string,
  level: LogLevel,
  { write }: LoggerOptions = {},
): Logger {
  const options = {
    level,
    base: { role, member },
    redact: ['*.embedding', '*.metadata', '*.password', '*.authorization'],
    serializers: { err: withoutSecrets, error: withoutSecrets },
  };
  return write === undefined ? pino(options) : pino(options, { write });
}

/** Errors of several in one, and what they carry; what is deeper is not told. */
const DEPTH_MAX = 4;

/**
 * Errors of libraries have more in them than what went wrong: ioredis' the command that failed, which may
 * be `auth` with the password, and others the URL that they were given.
 */
function withoutSecrets(value: unknown): unknown {
  return cleaned(value instanceof Error ? stdSerializers.err(value) : value, 0);
}

function cleaned(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.replace(/\/\/[^@/\s]*@/g, '//…@');
  if (typeof value !== 'object' || value === null) return value;
  if (depth === DEPTH_MAX) return undefined;
  if (Array.isArray(value)) return value.map((each) => cleaned(each, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'command')
      .map(([name, each]) => [name, cleaned(each, depth + 1)]),
  );
}
