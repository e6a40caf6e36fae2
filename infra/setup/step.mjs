// Runs the steps of a setup: one line each, the output of a program only when it failed.

import { spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setInterval } from 'node:timers';
import { pathToFileURL } from 'node:url';

/** A failure that the reader can put right: one sentence, and what to do. */
export class SetupFailure extends Error {}

/** One that lies in the machine: its network, its disk, what it permits. */
export class MachineFailure extends SetupFailure {}

const PARENT_POLL_MS = 500;

let current;
let isStopping = false;

/** Whether somebody wants all of this to end. */
export const isAskedToStop = () => isStopping;

/** Signals go on to the program that runs now; when that has ended, so does the setup. */
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => stop(name));

/**
 * A signal to npm alone does not come through: it reaches the shell between npm and this process,
 * which just dies. What is left of it is another parent.
 */
if (process.env.npm_lifecycle_event !== undefined) {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent && !isStopping) stop('SIGTERM');
  }, PARENT_POLL_MS).unref();
}

function stop(signal) {
  isStopping = true;
  current?.kill(signal);
}

/**
 * Does the work when the module of this URL is the program, not where it is imported.
 * @param work is given the arguments; a failure that the reader can put right is one sentence and code 1
 */
export async function asCommand(url, work) {
  if (url !== pathToFileURL(process.argv[1] ?? '').href) return;
  try {
    await work(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SetupFailure)) throw error;
    console.error(`✖ ${error.message}`);
    process.exitCode = 1;
  }
}

/** Does one step and prints its line; `work` may answer a remark for it. */
export async function step(label, work) {
  const begun = performance.now();
  const remark = await work();
  if (isStopping) throw new SetupFailure('stopped');
  const took = `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  console.log(`✔ ${label.padEnd(12)} ${[remark, took].filter(Boolean).join('   ')}`);
}

/** Runs a program quietly; answers whether it worked and what it wrote. */
export async function tryRun(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  const code = await ended(child);
  return { ok: code === 0, output };
}

/** The same, but a failure shows the output and becomes a sentence. */
export async function run(program, args, options = {}) {
  const { ok, output } = await tryRun(program, args, options);
  if (ok) return output;
  if (isStopping) throw new SetupFailure('stopped');
  const known = knownFailure(output);
  if (known !== undefined) throw new MachineFailure(known);
  console.error(output.trimEnd());
  throw new SetupFailure(`this failed: ${[program, ...args].join(' ')}`);
}

/** Runs a program on this terminal and answers its exit code. */
export function runHere(program, args, options = {}) {
  return ended(spawn(program, args, { ...options, stdio: 'inherit' }));
}

export async function hasProgram(name) {
  return (await tryRun('sh', ['-c', 'command -v -- "$1"', 'sh', name])).ok;
}

function ended(child) {
  current = child;
  return new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code) => resolve(code ?? 1));
  });
}

const KNOWN = [
  [
    /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|META_FETCH_FAIL/,
    'the network or the package registry cannot be reached; connect and try again',
  ],
  [/ENOSPC/, 'the disk is full; make room and try again'],
  [/EACCES|EROFS|EPERM/, 'a folder cannot be written; make it yours and try again'],
];

/** Common failures of package managers, told apart by what they write; with that line as proof. */
function knownFailure(output) {
  for (const [pattern, sentence] of KNOWN) {
    const line = output.split('\n').find((each) => pattern.test(each));
    if (line !== undefined) return `${sentence}\n  ${line.trim()}`;
  }
  return undefined;
}
