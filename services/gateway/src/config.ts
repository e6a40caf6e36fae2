import { integer, loadSettings, memberSettings } from '@engram/runtime';

const MIB = 1024 * 1024;

const settings = {
  ...memberSettings('gateway'),
  ENGRAM_HTTP_PORT: integer(0, 65_535).default(7_700),
  ENGRAM_BODY_BYTES_MAX: integer(1_024, 256 * MIB).default(16 * MIB),
  ENGRAM_PUBLISH_TIMEOUT_MS: integer(100).default(10_000),
  ENGRAM_PUBLISHES_MAX: integer(1).default(256),
  ENGRAM_RECALL_TIMEOUT_MS: integer(10).default(5_000),
};

/** The only reader of the environment. */
export const loadConfig = (environment = process.env) => loadSettings(settings, environment);

export type GatewayConfig = ReturnType<typeof loadConfig>;
