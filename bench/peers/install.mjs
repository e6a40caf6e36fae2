// The command `pnpm bench:peers`: everything that the group `peers` of the benchmarks compares with, under
// bench/peers/. Nothing of it is a part of the product or of its tests. What is there already stays.

import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { debootstrapped } from '../../infra/setup/debian.mjs';
import { run, SetupFailure, step } from '../../infra/setup/step.mjs';

const FOLDER = fileURLToPath(new URL('./', import.meta.url));
const ROOT = `${FOLDER}.root/`;
/** A whole Debian, so that its servers find their libraries: this machine's may be older. */
const SYSTEM = `${ROOT}trixie`;
/** The first release with vector sets in Redis and with a package of pgvector. */
const SUITE = 'trixie';
const PACKAGES = ['redis-server', 'postgresql-17', 'postgresql-17-pgvector', 'nodejs'];
const PROGRAMS = ['usr/bin/redis-server', 'usr/lib/postgresql/17/bin/postgres', 'usr/bin/node'];
const CHROMA = ['chromadb', `chromadb-js-bindings-linux-${process.arch}-gnu`, 'semver'];
const CHROMA_INSIDE = '/opt/chroma/node_modules/chromadb/dist/cli.mjs';
const LOCK = `${FOLDER}package-lock.json`;
const INSTALLED_LOCK = `${FOLDER}node_modules/.installed-lock.json`;

const absent = [];

await attempt('servers', 'Redis 8, PostgreSQL 17 with pgvector, Node for Chroma', installSystem);
await attempt('packages', 'LanceDB, sqlite-vec, Chroma, clients of PostgreSQL', installPackages);
await attempt('chroma', 'Chroma', installChroma);
absent.push('DuckDB vss: its extension is in no package, and its own download is not taken');
for (const reason of absent) console.log(`– not there: ${reason}`);

/** What fails is told; the rest is installed all the same, and compared with. */
async function attempt(label, what, work) {
  try {
    await step(label, work);
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    absent.push(`${what}: ${error.message}`);
    process.exitCode = 1;
  }
}

async function installSystem() {
  // Last of all written, so a system that was interrupted is made again.
  const done = `${SYSTEM}/.complete`;
  if (existsSync(done)) return 'are there already';
  rmSync(SYSTEM, { recursive: true, force: true });
  await debootstrapped(SUITE, SYSTEM, PACKAGES);
  for (const program of PROGRAMS)
    if (!existsSync(`${SYSTEM}/${program}`)) throw new SetupFailure(`${program} is missing in it`);
  writeFileSync(done, '');
  return `Debian ${SUITE} in ${SYSTEM}`;
}

async function installPackages() {
  const wanted = readFileSync(LOCK, 'utf8');
  if (existsSync(INSTALLED_LOCK) && readFileSync(INSTALLED_LOCK, 'utf8') === wanted)
    return 'are there already';
  await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: FOLDER });
  writeFileSync(INSTALLED_LOCK, wanted);
  return `in ${FOLDER}node_modules`;
}

/** Its server is a native addon for a newer C library than this machine may have: it runs in the system. */
async function installChroma() {
  if (!existsSync(`${SYSTEM}/.complete`)) throw new SetupFailure('it needs the servers above');
  const into = `${SYSTEM}/opt/chroma/node_modules/`;
  for (const name of CHROMA) {
    const from = `${FOLDER}node_modules/${name}`;
    if (!existsSync(from)) throw new SetupFailure(`the package ${name} was not installed`);
    cpSync(from, into + name, { recursive: true });
  }
  await run('chroot', [SYSTEM, '/usr/bin/node', CHROMA_INSIDE, '--version']);
}
