import { loadSettings, type Settings } from '@engram/runtime/service';

export type ShardConfig = Settings;

/** The only reader of the environment. */
export function loadConfig(environment = process.env): ShardConfig {
  return loadSettings('shard', environment);
}
