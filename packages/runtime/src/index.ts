export { advertisedUrl } from './advertised-url.ts';
export { systemClock } from './clock.ts';
export type { Clock } from './clock.ts';
export type { TlsFiles } from './connection-settings.ts';
export { backoffMs, Deadline } from './deadline.ts';
export type { Logger, LogLevel } from './logger.ts';
export { Repeater } from './repeater.ts';
export { RunningMean } from './running-mean.ts';
export { Scope } from './scope.ts';
