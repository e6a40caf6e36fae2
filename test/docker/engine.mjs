// Before the tests in containers: an engine, the base images, and our own. Where there is no engine and none can be
// started, they are left out, and that is said.

import { hasEngine, stopEngine } from '../../infra/images/engine.mjs';
import { buildImages, prepareEngine } from '../../infra/images/prepare.mjs';
import { MachineFailure, SetupFailure } from '../../infra/setup/step.mjs';

/** Of vitest: its answer runs when the tests are over. */
export default async function setup(project) {
  const wasThere = hasEngine();
  let environment;
  try {
    environment = await prepareEngine();
    await buildImages(environment);
  } catch (error) {
    const isOurs = environment !== undefined && !(error instanceof MachineFailure);
    if (isOurs || !(error instanceof SetupFailure)) throw error;
    console.error(`\n⚠ THE TESTS IN CONTAINERS DO NOT RUN: ${error.message}\n`);
    return undefined;
  }
  project.provide('engine', environment);
  // One that was there before goes on.
  return wasThere || !hasEngine() ? undefined : () => stopEngine();
}
