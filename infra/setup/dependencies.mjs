// Everything that the workspace needs from outside: pnpm, a native toolchain, the packages.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { hasProgram, run, SetupFailure, tryRun } from './step.mjs';

const TOOLS = ['python3', 'make', 'g++'];

/** How pnpm is called, in the version that package.json names; nothing is installed globally. */
export async function findPnpm(root) {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const [wanted] = manifest.packageManager.split('+');
  const options = { cwd: root, env: quietEnvironment() };
  const { ok, output } = await tryRun('pnpm', ['--version'], options);
  if (ok && `pnpm@${output.trim()}` === wanted) return { program: 'pnpm', prefix: [] };
  if (!(await hasProgram('npm')))
    throw new SetupFailure(`neither ${wanted} nor npm is in PATH; type: corepack enable pnpm`);
  return { program: 'npm', prefix: ['exec', '--yes', `--package=${wanted}`, '--', 'pnpm'] };
}

/** Installs what the lockfile says, unless that is what is there. */
export async function installPackages(root) {
  const stamp = join(root, 'node_modules', '.engram-install');
  const wanted = fingerprint(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return 'up to date';
  rmSync(stamp, { force: true });
  const { program, prefix } = await findPnpm(root);
  const env = { ...quietEnvironment(), ...localHeaders() };
  const owner = join(root, 'packages', 'vector-index');
  if (!(await tryAddon(owner, 'hnswlib-node')).ok) await requireToolchain();
  // The addon is built below, with or without this machine's instructions. What pnpm would build
  // goes to its store, where other machines may take it.
  const install = ['install', '--frozen-lockfile', '--ignore-scripts'];
  await run(program, [...prefix, ...install], { cwd: root, env });
  const remark = await buildAddon(owner, (flags) => {
    const folder = realpathSync(join(owner, 'node_modules', 'hnswlib-node'));
    const options = { cwd: folder, env: { ...env, CXXFLAGS: flags } };
    return tryRun(program, [...prefix, '--dir', folder, 'run', 'rebuild'], options);
  });
  const usearch = await tryAddon(owner, 'usearch');
  if (!usearch.ok) {
    console.error(usearch.output.trimEnd());
    throw new SetupFailure(
      'the vector index usearch cannot be loaded here (Linux needs glibc 2.34 or newer)',
    );
  }
  writeFileSync(stamp, wanted);
  return remark;
}

/**
 * Builds the addon that is compiled, for this machine's processor if that works: its inserts are
 * 1.6 times as fast then. A mark beside it tells what it was built for, and goes with it.
 */
async function buildAddon(owner, build) {
  const release = join(owner, 'node_modules', 'hnswlib-node', 'build', 'Release');
  const mark = join(release, '.engram-build');
  const wanted = buildTarget();
  const works = async () => (await tryAddon(owner, 'hnswlib-node')).ok;
  const isThere = await works();
  const built = existsSync(mark) ? readFileSync(mark, 'utf8') : PORTABLE;
  if (isThere && built === wanted) return undefined;
  const given = process.env.CXXFLAGS ?? '';
  let remark;
  if (wanted !== PORTABLE) {
    const isNative =
      (await missingTools()).length === 0 && (await build(`${given} -march=native`)).ok;
    if (isNative && (await works())) {
      writeFileSync(mark, wanted);
      return undefined;
    }
    remark = 'hnswlib is built without the instructions of this processor';
    // Nothing was touched: what is there will do.
    if (isThere && built === PORTABLE && (await works())) return remark;
  }
  await requireToolchain();
  const { ok, output } = await build(given);
  const tried = await tryAddon(owner, 'hnswlib-node');
  if (!ok || !tried.ok) {
    console.error((ok ? tried : { output }).output.trimEnd());
    throw new SetupFailure(
      'the native vector index cannot be built; remove node_modules, try again',
    );
  }
  // Whatever was wanted: it need not be tried again here.
  writeFileSync(mark, wanted);
  return remark;
}

/** Loads a native part and uses it in a process of its own, which may die of a foreign instruction. */
function tryAddon(owner, name) {
  return tryRun(process.execPath, ['-e', ADDON_TRIALS[name]], { cwd: owner });
}

const ADDON_TRIALS = {
  // The library has a loop for each kind of dimension.
  'hnswlib-node': `
    const { HierarchicalNSW } = require('hnswlib-node');
    for (const space of ['l2', 'ip'])
      for (const dimension of [3, 4, 16, 18, 20, 100]) {
        const index = new HierarchicalNSW(space, dimension);
        index.initIndex(50);
        const rows = Array.from({ length: 50 }, (_, i) => {
          const row = Array.from({ length: dimension }, (_, j) => Math.sin(1 + i * dimension + j));
          const length = Math.hypot(...row);
          return row.map((component) => component / length);
        });
        rows.forEach((row, i) => index.addPoint(row, i));
        rows.forEach((row, i) => {
          if (index.searchKnn(row, 1).neighbors[0] !== i) throw new Error('a row is not found');
        });
      }`,
  usearch: `
    const { dirname, join } = require('node:path');
    const folder = join(dirname(require.resolve('usearch')), '..', '..', '..');
    const { CompiledIndex } = require('node-gyp-build')(folder);
    const index = new CompiledIndex(2, 'ip', 'i8', 4, 16, 16, false);
    index.add(BigUint64Array.of(5n, 6n), Int8Array.of(100, 0, 0, 100), 1);
    if (index.search(Int8Array.of(0, 9), 1, 1)[0][0] !== 6n) throw new Error('a row is not found');`,
};

const PORTABLE = 'portable';

/** What the addon is built for; ADDON_BUILD=portable makes it run on every processor of its kind. */
function buildTarget() {
  const given = process.env.ADDON_BUILD ?? 'native';
  if (given === PORTABLE) return PORTABLE;
  if (given === 'native') return `native ${processorIdentity()}`;
  throw new SetupFailure(`ADDON_BUILD is native or portable, not ${given}`);
}

/** Model and instruction sets: native code of another processor may die of a foreign instruction. */
function processorIdentity() {
  const hash = createHash('sha256').update(cpus()[0]?.model ?? '');
  const described = '/proc/cpuinfo';
  if (existsSync(described))
    hash.update(/^(?:flags|Features)\s*:.*$/m.exec(readFileSync(described, 'utf8'))?.[0] ?? '');
  return hash.digest('hex').slice(0, 16);
}

/** The lockfile with what rules it, and the Node and the processor that native code is for. */
function fingerprint(root) {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.pnpmfile.cjs'])
    hash.update(readFileSync(join(root, file)));
  const { platform, arch, versions } = process;
  return `${hash.digest('hex')} ${platform}-${arch}-${versions.modules} ${buildTarget()}\n`;
}

/** Nothing may ask a question: there may be nobody at the terminal. */
function quietEnvironment() {
  return { ...process.env, CI: 'true', COREPACK_ENABLE_DOWNLOAD_PROMPT: '0' };
}

/** Node's own headers, when they came with it: building then needs no download of them. */
function localHeaders() {
  const nodedir = dirname(dirname(process.execPath));
  const header = join(nodedir, 'include', 'node', 'node_version.h');
  if (process.env.npm_config_nodedir || !existsSync(header)) return {};
  const [major, minor] = process.versions.node.split('.');
  const text = readFileSync(header, 'utf8');
  const isSame = (name, value) => new RegExp(`${name}\\s+${value}\\b`).test(text);
  return isSame('NODE_MAJOR_VERSION', major) && isSame('NODE_MINOR_VERSION', minor)
    ? { npm_config_nodedir: nodedir }
    : {};
}

async function missingTools() {
  const missing = [];
  for (const tool of TOOLS) if (!(await hasProgram(tool))) missing.push(tool);
  return missing;
}

/** hnswlib is C++ that is compiled at its install. */
async function requireToolchain() {
  const missing = await missingTools();
  if (missing.length === 0) return;
  const what = `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`;
  if (process.platform === 'darwin')
    throw new SetupFailure(`${what}, to build the vector index; type: xcode-select --install`);
  if (!(await hasProgram('apt-get')))
    throw new SetupFailure(`${what}, to build the vector index; install ${TOOLS.join(', ')}`);
  if (process.getuid() !== 0)
    throw new SetupFailure(
      `${what}, to build the vector index; type: sudo apt-get install -y ${TOOLS.join(' ')}`,
    );
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  await run('apt-get', ['update', '-q'], options);
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...TOOLS], options);
}
