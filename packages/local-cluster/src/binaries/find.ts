import { whichProgram } from '../command.ts';
import { SetupError } from '../setup-error.ts';
import { BinaryCache, defaultCacheDir } from './binary-cache.ts';
import { fromDebian } from './debian.ts';
import { fromHomebrew } from './homebrew.ts';
import { fetchRelease, NATS_RELEASE, NATS_RELEASES, releaseName } from './release.ts';
import {
  isFound,
  NATS_SERVER,
  probeBinary,
  REDIS_SERVER,
  type BinarySource,
  type Found,
  type ServerBinary,
  type ServerSpec,
} from './server-binary.ts';

export interface FindOptions {
  /** Where fetched binaries are kept; default `$XDG_CACHE_HOME/engram` or `~/.cache/engram`. */
  readonly cacheDir?: string;
  /** Where NATS releases are fetched from, for mirrors and tests. */
  readonly releaseBaseUrl?: string;
  /** Sources that may be tried, in the order of this list; default all. */
  readonly sources?: readonly BinarySource[];
  /** Told what is about to be fetched, which takes seconds, and why it has to be. */
  readonly onFetch?: (name: string, reason: string) => void;
}

const SOURCES: readonly BinarySource[] = ['path', 'homebrew', 'apt', 'release'];

/**
 * A nats-server of at least 2.10: from PATH, the cache, Homebrew, Debian's or Ubuntu's packages, or
 * the official release.
 * @throws SetupError BINARY_MISSING with the command to type
 */
export function findNatsServer(options: FindOptions = {}): Promise<ServerBinary> {
  return findServer(NATS_SERVER, options);
}

/**
 * A redis-server of at least 6.2: from PATH, the cache, Homebrew, or Debian's or Ubuntu's packages.
 * @throws SetupError BINARY_MISSING with the command to type
 */
export function findRedisServer(options: FindOptions = {}): Promise<ServerBinary> {
  return findServer(REDIS_SERVER, options);
}

async function findServer(spec: ServerSpec, options: FindOptions): Promise<ServerBinary> {
  const sources = options.sources ?? SOURCES;
  const cache = new BinaryCache(options.cacheDir ?? defaultCacheDir());
  const refusals: string[] = [];
  if (sources.includes('path')) {
    const found = await fromPath(spec);
    if (isFound(found)) return found;
    refusals.push(found.refused);
  }
  const cached = await cache.find(spec);
  if (cached !== undefined) return cached;
  return cache.locked(async () => {
    // Another process may have installed it while this one waited for the lock.
    const now = await cache.find(spec);
    if (now !== undefined) return now;
    options.onFetch?.(spec.name, refusals.join('; '));
    for (const source of sources) {
      if (source === 'path') continue;
      const found = await fetchFrom(source, spec, cache, options);
      if (isFound(found)) return found;
      refusals.push(found.refused);
    }
    throw new SetupError(
      'BINARY_MISSING',
      `no usable ${spec.name} could be found or fetched: ${refusals.join('; ')}`,
      { hint: commandFor(spec) },
    );
  });
}

async function fromPath(spec: ServerSpec): Promise<Found> {
  const path = await whichProgram(spec.name);
  if (path === undefined) return { refused: `${spec.name} is not in PATH` };
  return probeBinary(spec, 'path', path);
}

async function fetchFrom(
  source: Exclude<BinarySource, 'path'>,
  spec: ServerSpec,
  cache: BinaryCache,
  options: FindOptions,
): Promise<Found> {
  switch (source) {
    case 'homebrew':
      return fromHomebrew(spec);
    case 'apt':
      return fromDebian(spec, cache);
    case 'release':
      if (spec.name !== 'nats-server') return { refused: 'Redis publishes no binaries' };
      return cache.install(spec, 'release', (into) => fetchRelease(into, options.releaseBaseUrl));
  }
}

/** What to type when nothing worked. */
function commandFor(spec: ServerSpec): string {
  if (process.platform === 'darwin') return `type: brew install ${spec.formula}`;
  if (spec.name === 'redis-server')
    return 'type: sudo apt-get install redis-server   (Fedora: sudo dnf install redis)';
  const name = releaseName(process.platform, process.arch);
  if (name === undefined) return `put nats-server 2.10 or newer into your PATH`;
  return (
    `type: curl -fsSL ${NATS_RELEASES}/v${NATS_RELEASE}/${name}.tar.gz | ` +
    `sudo tar -xz -C /usr/local/bin --strip-components=1 ${name}/nats-server`
  );
}
