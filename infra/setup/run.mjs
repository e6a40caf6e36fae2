// `npm start` and `npm test` in a fresh clone: brings everything there that is missing, then goes
// on. Plain Node without packages, because it runs before any is installed.
//
//   node infra/setup/run.mjs start [options of `engram up`]
//   node infra/setup/run.mjs test

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { hasEngine, stopEngine } from '../images/engine.mjs';
import { findPnpm, installPackages } from './dependencies.mjs';
import { installed } from './debian.mjs';
import { hasProgram, run, runHere, SetupFailure, step, tryRun } from './step.mjs';

const NODE_MINIMUM = [20, 19];
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const root = fileURLToPath(new URL('../..', import.meta.url));
const [mode, ...args] = process.argv.slice(2);

try {
  process.exitCode = await main();
} catch (error) {
  // A failure of the local cluster carries what to type in its hint.
  if (!(error instanceof SetupFailure) && error?.name !== 'SetupError') throw error;
  console.error(`✖ ${[error.message, error.hint].filter(Boolean).join('\n  ')}`);
  process.exitCode = 1;
}

async function main() {
  if (mode !== 'start' && mode !== 'test') {
    console.error('usage: node infra/setup/run.mjs start|test [arguments]');
    return 2;
  }
  checkNode();
  checkFolder();
  await step('packages', () => installPackages(root));
  await step('build', async () => {
    await run(process.execPath, ['node_modules/typescript/bin/tsc', '-b'], { cwd: root });
    await run(process.execPath, ['packages/console/bundle.mjs'], { cwd: root });
  });
  await step('servers', findServers);
  if (mode === 'start') {
    const command = [join('packages', 'cli', 'dist', 'main.js'), 'up', '--data', '.engram'];
    return runHere(process.execPath, [...command, ...args], { cwd: root });
  }
  await step('browser', findBrowser);
  const { program, prefix } = await findPnpm(root);
  const pnpm = (...words) => runHere(program, [...prefix, ...words], { cwd: root });
  const containers = await prepareContainers();
  try {
    const code = await pnpm('verify', ...args);
    if (code !== 0) return code;
    await containers.prepared;
    return await pnpm('test:docker');
  } finally {
    await containers.end();
  }
}

/**
 * Brings an engine and images for the last tests, beside the others, which leave a core idle at first. Where that
 * cannot be done, those tests say so themselves.
 */
async function prepareContainers() {
  const isThere = hasEngine() || (await tryRun('docker', ['info'])).ok;
  const child = spawn(process.execPath, [join('infra', 'images', 'prepare.mjs')], {
    cwd: root,
    stdio: 'ignore',
  });
  const prepared = once(child, 'exit');
  return {
    prepared,
    end: async () => {
      child.kill();
      await prepared;
      if (!isThere) await stopEngine();
    },
  };
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < NODE_MINIMUM[0] || (major === NODE_MINIMUM[0] && minor < NODE_MINIMUM[1]))
    throw new SetupFailure(
      `Node ${NODE_MINIMUM.join('.')} or newer is needed, this is ${process.version}`,
    );
}

function checkFolder() {
  try {
    accessSync(root, constants.W_OK);
    mkdirSync(join(root, 'node_modules'), { recursive: true });
  } catch (error) {
    throw new SetupFailure(`the folder ${root} cannot be written (${error.code}); make it yours`);
  }
}

/** The console is tested in Chromium; without one those tests are left out, which is said. */
async function findBrowser() {
  for (const name of BROWSERS) if (await hasProgram(name)) return name;
  if (process.getuid?.() === 0 && (await hasProgram('apt-get'))) {
    await installed(['chromium']);
    return 'chromium, installed';
  }
  return 'there is none, so the console is not tested: install chromium';
}

/** Finds nats-server and redis-server, or fetches them into the user's cache. */
async function findServers() {
  const built = join(root, 'packages', 'local-cluster', 'dist', 'index.js');
  const { findNatsServer, findRedisServer } = await import(pathToFileURL(built).href);
  const options = { onFetch: (name) => console.log(`  fetching ${name}`) };
  const found = [await findNatsServer(options), await findRedisServer(options)];
  return found.map(({ name, version, source }) => `${name} ${version} (${source})`).join(', ');
}
