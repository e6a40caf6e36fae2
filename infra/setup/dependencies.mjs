// Everything that the workspace needs from outside: pnpm, a native toolchain, the packages.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  const options = { cwd: root, env: { ...quietEnvironment(), ...localHeaders() } };
  const owner = join(root, 'packages', 'vector-index');
  const addon = () => tryRun(process.execPath, ['-e', "require('hnswlib-node')"], { cwd: owner });
  if (!(await addon()).ok) await requireToolchain();
  await run(program, [...prefix, 'install', '--frozen-lockfile'], options);
  // An addon of another Node version is not built again by an install.
  if (!(await addon()).ok) {
    await requireToolchain();
    await run(program, [...prefix, 'rebuild', '--recursive', 'hnswlib-node'], options);
  }
  const { ok, output } = await addon();
  if (!ok) {
    console.error(output.trimEnd());
    throw new SetupFailure(
      'the native vector index cannot be loaded; remove node_modules, try again',
    );
  }
  writeFileSync(stamp, wanted);
  return undefined;
}

/** The lockfile, and the Node that native code was built for. */
function fingerprint(root) {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml'])
    hash.update(readFileSync(join(root, file)));
  const { platform, arch, versions } = process;
  return `${hash.digest('hex')} ${platform}-${arch}-${versions.modules}\n`;
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

/** The vector index is C++ that is compiled at its install. */
async function requireToolchain() {
  const missing = [];
  for (const tool of TOOLS) if (!(await hasProgram(tool))) missing.push(tool);
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
