// A Docker engine and docker compose: those of the machine, or, where root may install Debian packages, ones that
// are brought and started for this user alone, with their data in the cache. A command of its own too:
//
//   eval "$(node infra/images/engine.mjs start)"     starts it, and prints what the shell has to know
//   node infra/images/engine.mjs stop                ends it and its containers; images stay for the next time

import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { installed, unpacked } from '../setup/debian.mjs';
import { asCommand, hasProgram, isAskedToStop, run, SetupFailure, tryRun } from '../setup/step.mjs';

const STARTED_MS = 60_000;
/** The first release that has both. */
const PLUGIN_SUITE = 'trixie';
/** The second compose, and what builds images. */
const PLUGINS = ['compose', 'buildx'];

export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'engram');
const PLACE = join(CACHE, 'docker');
/** Paths of sockets are short. */
const RUN = '/run/engram-docker';
const SOCKET = `${RUN}/docker.sock`;
const PID_FILE = `${RUN}/docker.pid`;
/** Of the engine that is started here. */
const OWN = { DOCKER_HOST: `unix://${SOCKET}` };

/** How `docker` is run with what `startEngine` answered. */
export function dockerOptions(environment) {
  return { env: { ...process.env, ...environment, DOCKER_BUILDKIT: '1' } };
}

/**
 * What must stand in the environment of `docker` and of tests.
 * @throws SetupFailure where there is no engine and none can be started, with the reason
 */
export async function startEngine() {
  const env = {};
  if (!(await tryRun('docker', ['info'])).ok) Object.assign(env, await startOwn());
  const options = dockerOptions(env);
  const missing = [];
  for (const plugin of PLUGINS)
    if (!(await tryRun('docker', [plugin, 'version'], options)).ok) missing.push(plugin);
  if (missing.length > 0) Object.assign(env, await bringPlugins());
  return env;
}

/** Ends the engine that was started here; one that runs somebody's containers only where that is meant. */
export async function stopEngine({ evenInUse = false } = {}) {
  const pid = runningPid();
  if (pid === undefined) return;
  const options = dockerOptions(OWN);
  const isInUse = async () => (await tryRun('docker', ['ps', '--quiet'], options)).output !== '';
  if (!evenInUse && (await isInUse())) return;
  // Else those that are started again unless they were stopped would be, with the next engine.
  await tryRun(
    'sh',
    ['-c', 'docker ps --quiet | xargs --no-run-if-empty docker stop --time 20'],
    options,
  );
  process.kill(pid, 'SIGTERM');
  await until(() => runningPid() === undefined, 'the Docker engine did not end');
}

async function startOwn() {
  const options = dockerOptions(OWN);
  const answers = async () => (await tryRun('docker', ['info'], options)).ok;
  const reason = 'no Docker engine answers here, and none can be started';
  if (runningPid() !== undefined) {
    await until(answers, `the Docker engine (process ${runningPid()}) does not answer`);
    return OWN;
  }
  if (process.platform !== 'linux' || process.getuid() !== 0)
    throw new SetupFailure(`${reason}: that takes Linux and root; start Docker and try again`);
  if (!(await hasProgram('dockerd'))) {
    if (!(await hasProgram('apt-get')))
      throw new SetupFailure(`${reason}: install Docker, start it and try again`);
    await installed(['docker.io', 'iptables']);
  }
  try {
    mkdirSync(join(PLACE, 'data'), { recursive: true });
    mkdirSync(RUN, { recursive: true });
  } catch (error) {
    throw new SetupFailure(`${reason}: ${error.message}`);
  }
  const log = openSync(join(PLACE, 'dockerd.log'), 'w');
  const child = spawn(
    'dockerd',
    [
      `--data-root=${join(PLACE, 'data')}`,
      `--exec-root=${RUN}/exec`,
      `--pidfile=${PID_FILE}`,
      `--host=unix://${SOCKET}`,
    ],
    { detached: true, stdio: ['ignore', log, log] },
  );
  closeSync(log);
  child.unref();
  let hasEnded = false;
  child.once('exit', () => (hasEnded = true));
  try {
    await until(async () => {
      if (await answers()) return true;
      // Another one may have been started at the same time, and then this one ends.
      if (hasEnded && runningPid() === undefined)
        throw new SetupFailure(`${reason}: dockerd ended`);
      return false;
    }, `${reason}: dockerd does not answer`);
  } catch (error) {
    child.kill();
    const told = readFileSync(join(PLACE, 'dockerd.log'), 'utf8').split('\n').slice(-6).join('\n');
    throw new SetupFailure(`${error.message}\n${told.trim()}`);
  }
  return OWN;
}

/** Plugins of `docker` that only this environment has. */
async function bringPlugins() {
  const config = join(PLACE, 'config');
  const links = join(config, 'cli-plugins');
  mkdirSync(links, { recursive: true });
  for (const plugin of PLUGINS) {
    const name = `docker-${plugin}`;
    const folder = join(PLACE, plugin);
    const program = join(folder, 'usr/libexec/docker/cli-plugins', name);
    if (!existsSync(program)) {
      rmSync(folder, { recursive: true, force: true });
      await unpacked(PLUGIN_SUITE, [name], folder);
    }
    if (!existsSync(program)) throw new SetupFailure(`the package ${name} has no ${program}`);
    rmSync(join(links, name), { force: true });
    symlinkSync(program, join(links, name));
  }
  const env = { DOCKER_CONFIG: config };
  for (const plugin of PLUGINS) await run('docker', [plugin, 'version'], dockerOptions(env));
  return env;
}

/** Whether one that was started here goes on. */
export function hasEngine() {
  return runningPid() !== undefined;
}

function runningPid() {
  if (!existsSync(PID_FILE)) return undefined;
  const pid = Number(readFileSync(PID_FILE, 'utf8'));
  // Numbers of processes are given again: it has to be an engine, too.
  if (pid > 1 && commandOf(pid).includes('dockerd')) return pid;
  rmSync(PID_FILE, { force: true }); // of an engine that was killed
  return undefined;
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

async function until(isSo, otherwise) {
  const deadline = Date.now() + STARTED_MS;
  while (!(await isSo())) {
    if (isAskedToStop()) throw new SetupFailure('stopped');
    if (Date.now() > deadline) throw new SetupFailure(otherwise);
    await pause(200);
  }
}

await asCommand(import.meta.url, async ([command]) => {
  if (command === 'stop') return stopEngine({ evenInUse: true });
  for (const [name, value] of Object.entries(await startEngine()))
    console.log(`export ${name}='${value}'`);
});
