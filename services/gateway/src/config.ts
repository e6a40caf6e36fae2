import { loadSettings, type Settings } from '@engram/runtime/service';

export type GatewayConfig = Settings;

/** The only reader of the environment. */
export function loadConfig(environment = process.env): GatewayConfig {
  return loadSettings('gateway', environment);
}
