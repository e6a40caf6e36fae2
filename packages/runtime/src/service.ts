// What the process of a service needs and its threads do not: reading settings takes many modules, which
// would be most of what a thread loads when it starts.

export { aborted, loadOrExit, runService } from './service-run.ts';
export type { ReadyMessage } from './service-run.ts';
export { loadLimits } from './limits-file.ts';
export type { NamedLimits } from './limits-file.ts';
export { isAuthOn } from './access-settings.ts';
export type { AccessSettings } from './access-settings.ts';
export { natsServer, redisServer } from './connection-settings.ts';
export { tokenSettings } from './token-settings.ts';
export type { TokenSettings } from './token-settings.ts';
export { loadSettings } from './settings.ts';
export type { Settings } from './settings.ts';
