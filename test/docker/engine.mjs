// Before the tests in containers: an engine, the base images, and our own. Where there is no engine and none can be
// started, they are left out, and that is said.

import { stopEngine } from '../../infra/images/engine.mjs';
import { buildImages, prepareEngine } from '../../infra/images/prepare.mjs';
import { SetupFailure } from '../../infra/setup/step.mjs';

/** Of vitest: its answer runs when the tests are over. */
export default async function setup(project) {
  let environment;
  try {
    environment = await prepareEngine();
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    console.error(`\n⚠ THE TESTS IN CONTAINERS DO NOT RUN: ${error.message}\n`);
    return undefined;
  }
  await buildImages(environment);
  project.provide('engine', environment);
  // One that was there before goes on.
  return environment.DOCKER_HOST === undefined ? undefined : () => stopEngine();
}
