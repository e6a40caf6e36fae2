import { integer, loadSettings, memberSettings } from '@engram/runtime';
import { availableParallelism } from 'node:os';

const MIB = 1024 * 1024;

const settings = {
  ...memberSettings('shard'),
  ENGRAM_HTTP_PORT: integer(0, 65_535).default(0),
  ENGRAM_WORKERS: integer(1, 64).default(availableParallelism()),
  ENGRAM_LANE_MESSAGES_MAX: integer(1).default(512),
  ENGRAM_LANE_BYTES_MAX: integer(2 * MIB).default(32 * MIB),
};

/** The only reader of the environment. */
export const loadConfig = (environment = process.env) => loadSettings(settings, environment);

export type ShardConfig = ReturnType<typeof loadConfig>;
