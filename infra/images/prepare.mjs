// All that the cluster in containers takes, brought beside other work: node infra/images/prepare.mjs

import { asCommand, run, SetupFailure, tryRun } from '../setup/step.mjs';
import { dockerOptions, startEngine } from './engine.mjs';
import { makeImages } from './local.mjs';

/** Some image that is there. */
const PROBE = 'redis:7.2-bookworm';
const ROOT = new URL('../../', import.meta.url).pathname;

/**
 * An engine, and the images that ours are made of.
 * @throws SetupFailure where this machine cannot have them
 */
export async function prepareEngine() {
  const environment = await startEngine();
  const pull = ['compose', 'pull', '--ignore-buildable', '--quiet', '--policy', 'missing'];
  // Made here where no registry can be reached.
  if (!(await tryRun('docker', pull, optionsOf(environment))).ok) await makeImages(environment);
  const { ok, output } = await tryRun(
    'docker',
    ['run', '--rm', PROBE, 'true'],
    optionsOf(environment),
  );
  if (!ok) throw new SetupFailure(`the Docker engine runs no containers: ${output.trim()}`);
  return environment;
}

/**
 * Images of what is checked out, for every service of docker-compose.yml.
 * @throws MachineFailure where the network or the disk does not let them be built
 */
export async function buildImages(environment) {
  const build = ['compose', '--profile', '*', 'build', '--quiet'];
  await run('docker', build, optionsOf(environment));
}

function optionsOf(environment) {
  return { cwd: ROOT, ...dockerOptions(environment) };
}

await asCommand(import.meta.url, async () => buildImages(await prepareEngine()));
