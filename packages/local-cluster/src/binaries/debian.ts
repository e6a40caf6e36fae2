import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { runCommand, whichProgram } from '../command.ts';
import { systemCode } from '../setup-error.ts';
import { distributionSources, readAptSources, type AptSource } from './apt-sources.ts';
import type { BinaryCache, Unpacked } from './binary-cache.ts';
import { parseCandidate, PrivateApt } from './private-apt.ts';
import { isFound, tooOld, type Found, type ServerSpec } from './server-binary.ts';
import { isAtLeast, parseDebianVersion } from './version.ts';

/** The first Debian release whose nats-server is new enough. */
const NEWER_SUITE = 'trixie';
const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

interface Distribution {
  readonly id: string;
  readonly codename: string;
}

/**
 * A binary unpacked from Debian's or Ubuntu's packages into the cache: nothing is installed, no
 * service starts, no root is needed. Tries the machine's own release, then, for NATS on Debian, the
 * release that has a newer one.
 */
export async function fromDebian(spec: ServerSpec, cache: BinaryCache): Promise<Found> {
  const distribution = await readDistribution();
  if (distribution === undefined || (await whichProgram('apt-get')) === undefined)
    return { refused: 'this is not Debian or Ubuntu' };
  const { codename } = distribution;
  const own = distributionSources(await readAptSources(), codename);
  if (own.length === 0) return { refused: `apt has no sources for ${codename}` };
  const found = (await knownTooOld(spec, codename)) ?? (await fromSources(spec, cache, own));
  const newer = newerSource(own, distribution);
  if (isFound(found) || spec.name !== 'nats-server' || newer === undefined) return found;
  const second = await fromSources(spec, cache, [newer]);
  return isFound(second) ? second : { refused: `${found.refused}; ${second.refused}` };
}

/** The newer release at the mirror that this machine already uses. */
export function newerSource(
  own: readonly AptSource[],
  { id, codename }: Distribution,
): AptSource | undefined {
  const main = own.find(({ suite }) => suite === codename);
  if (id !== 'debian' || main === undefined || codename === NEWER_SUITE) return undefined;
  return { uri: main.uri, suite: NEWER_SUITE, components: ['main'], signedBy: DEBIAN_KEYRING };
}

/** The codename decides: releases without one (`sid` has none) are not served. */
export function parseDistribution(osRelease: string): Distribution | undefined {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(osRelease)?.[1];
  const id = field('ID');
  const codename = field('VERSION_CODENAME');
  if (codename === undefined || codename === '') return undefined;
  return id === 'debian' || id === 'ubuntu' ? { id, codename } : undefined;
}

async function readDistribution(): Promise<Distribution | undefined> {
  try {
    return parseDistribution(await readFile('/etc/os-release', 'utf8'));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The system's own package lists, when it has any, may save fetching them only to be refused. */
async function knownTooOld(
  spec: ServerSpec,
  codename: string,
): Promise<{ readonly refused: string } | undefined> {
  const { stdout } = await runCommand('apt-cache', ['policy', spec.name]);
  const version = parseDebianVersion(parseCandidate(stdout) ?? '');
  if (version === undefined || isAtLeast(version, spec.minimum)) return undefined;
  return { refused: tooOld(spec, `${spec.name} of ${codename}`, version) };
}

async function fromSources(
  spec: ServerSpec,
  cache: BinaryCache,
  sources: readonly AptSource[],
): Promise<Found> {
  const suite = sources[0]?.suite ?? '';
  const apt = await PrivateApt.open(cache.directory, sources);
  if ('refused' in apt) return apt;
  try {
    const version = parseDebianVersion((await apt.candidate(spec.name)) ?? '');
    if (version === undefined) return { refused: `${suite} has no ${spec.name}` };
    if (!isAtLeast(version, spec.minimum))
      return { refused: tooOld(spec, `${spec.name} of ${suite}`, version) };
    return await cache.install(spec, 'apt', (into) => unpackPackages(spec, apt, into));
  } finally {
    await apt.close();
  }
}

async function unpackPackages(
  spec: ServerSpec,
  apt: PrivateApt,
  into: string,
): Promise<Unpacked | { readonly refused: string }> {
  // The newer release's libraries would not fit this machine's, and NATS needs none.
  const packages = spec.name === 'nats-server' ? [spec.name] : await apt.missing(spec.name);
  if (packages.length === 0) return { refused: `apt cannot resolve ${spec.name}` };
  const failure = await apt.unpack(packages, into);
  if (failure !== undefined) return failure;
  const files = await readdir(into, { recursive: true, withFileTypes: true });
  const program = files.find(
    (file) => file.name === spec.name && /\/usr\/s?bin$/.test(file.parentPath),
  );
  if (program === undefined) return { refused: `its package has no ${spec.name}` };
  const libraries = files.filter((file) => file.name.includes('.so.')).map((f) => f.parentPath);
  return {
    executable: relative(into, join(program.parentPath, program.name)),
    libraries: [...new Set(libraries)].map((folder) => relative(into, folder)),
  };
}
