import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on standard output; embeddings and metadata are never logged. */
export function createLogger(role: string, member: string, level: LogLevel): Logger {
  return pino({
    level,
    base: { role, member },
    redact: ['*.embedding', '*.metadata', '*.password'],
  });
}
