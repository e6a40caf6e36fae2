import { runCommand } from '../command.ts';
import { formatVersion, isAtLeast, parseVersion, type Version } from './version.ts';

export type ServerName = 'nats-server' | 'redis-server';

export type BinarySource = 'path' | 'homebrew' | 'apt' | 'release';

/** A server program that was seen to run and is new enough. */
export interface ServerBinary {
  readonly name: ServerName;
  readonly path: string;
  readonly version: string;
  readonly source: BinarySource;
  /** Directories for LD_LIBRARY_PATH, joined by `:`, when its libraries came along with it. */
  readonly libraryPath?: string;
}

/** What a server program must be, and under which names it is to be had. */
export interface ServerSpec {
  readonly name: ServerName;
  readonly minimum: Version;
  /** Why the minimum is what it is. */
  readonly reason: string;
  readonly formula: string;
}

export const NATS_SERVER: ServerSpec = {
  name: 'nats-server',
  minimum: [2, 10, 0],
  reason: 'older ones lock up when the disk is full and cannot set sync_interval',
  formula: 'nats-server',
};

export const REDIS_SERVER: ServerSpec = {
  name: 'redis-server',
  minimum: [6, 2, 0],
  reason: 'older ones lack commands that membership uses',
  formula: 'redis',
};

/** A binary, or the reason why there is none from that source, as the end of a sentence. */
export type Found = ServerBinary | { readonly refused: string };

export function isFound(found: Found): found is ServerBinary {
  return !('refused' in found);
}

/** Runs `--version`: the only proof that a binary works here, libraries and all. */
export async function probeBinary(
  spec: ServerSpec,
  source: BinarySource,
  path: string,
  libraryPath?: string,
): Promise<Found> {
  const library = libraryPath === undefined ? [] : [`LD_LIBRARY_PATH=${libraryPath}`];
  const outcome = await runCommand('env', [...library, path, '--version']);
  const version = outcome.ok ? parseVersion(outcome.stdout) : undefined;
  if (version === undefined) return { refused: `${path} does not run` };
  if (!isAtLeast(version, spec.minimum)) return { refused: tooOld(spec, path, version) };
  return {
    name: spec.name,
    path,
    version: formatVersion(version),
    source,
    ...(libraryPath === undefined ? {} : { libraryPath }),
  };
}

export function tooOld(spec: ServerSpec, what: string, version: Version): string {
  const minimum = formatVersion(spec.minimum);
  return `${what} is ${formatVersion(version)}, needed is ${minimum} (${spec.reason})`;
}
