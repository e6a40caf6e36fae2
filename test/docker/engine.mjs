// Before the tests in containers: an engine, the base images, and our own. Where there is no engine and none can be
// started, they are left out, and that is said.

import { startEngine, stopEngine } from '../../infra/images/engine.mjs';
import { makeImages } from '../../infra/images/local.mjs';
import { run, SetupFailure, tryRun } from '../../infra/setup/step.mjs';

const ROOT = new URL('../../', import.meta.url).pathname;

/** Of vitest: its answer runs when the tests are over. */
export default async function setup(project) {
  let environment;
  try {
    environment = await startEngine();
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    console.error(`\n⚠ THE TESTS IN CONTAINERS DO NOT RUN: ${error.message}\n`);
    return undefined;
  }
  const options = { cwd: ROOT, env: { ...process.env, ...environment, DOCKER_BUILDKIT: '1' } };
  // Made here where no registry can be reached.
  const pull = ['compose', 'pull', '--ignore-buildable', '--quiet', '--policy', 'missing'];
  if (!(await tryRun('docker', pull, options)).ok) await makeImages(environment);
  await run('docker', ['compose', '--profile', '*', 'build', '--quiet'], options);
  project.provide('engine', environment);
  // One that was there before goes on.
  return environment.DOCKER_HOST === undefined ? undefined : stopEngine;
}
