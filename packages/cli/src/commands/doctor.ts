import type { DeadLetter, EngramClient } from '@engram/client';
import {
  type Check,
  checkCluster,
  checkDeadLetters,
  checkGatewayClock,
  counted,
  duration,
  failure,
  ok,
  verdictOf,
} from '@engram/diagnosis';
import { ClusterError } from '@engram/model';
import { Command } from 'commander';
import colors from 'picocolors';
import { checkDisk, checkNode, checkPrograms } from '../doctor/machine.ts';
import { failureLine, invocation, warningLine } from '../format.ts';
import { silentHere } from '../local-members.ts';
import { DEFAULT_DATA } from '../local-url.ts';
import {
  apiKeyFileOption,
  clientFor,
  EXIT,
  isDenied,
  isNoGateway,
  jsonOption,
  printJson,
  reporting,
  sentence,
  urlFor,
  urlOption,
  type GatewayOptions,
} from '../output.ts';
import { printable, shown } from '../printable.ts';

interface Options extends GatewayOptions {
  readonly json?: boolean;
}

const DEAD_LETTERS_ASKED = 100;
const READY_TIMEOUT_MS = 5_000;
const NAME_WIDTH = 12;

/** `engram doctor` */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check this machine and the cluster, and say what to do')
    .addOption(urlOption())
    .addOption(apiKeyFileOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
Exit code: 0 all is well, 1 something fails, 3 there are warnings.

Examples:
  $ engram doctor
  $ engram doctor --url http://gateway:7700 --json`,
    )
    .action(
      reporting(async ({ json, ...gateway }: Options) => {
        const checks: Check[] = [];
        // Without a URL the cluster may be one of this machine.
        for await (const check of allChecks(gateway)) {
          checks.push(check);
          if (json !== true) console.log(lineOf(check));
        }
        const verdict = verdictOf(checks);
        process.exitCode = { ok: EXIT.ok, warning: EXIT.partial, failure: EXIT.failure }[verdict];
        if (json === true) printJson({ verdict, checks });
        else console.log(summaryOf(checks));
      }),
    );
}

async function* allChecks(gateway: GatewayOptions): AsyncGenerator<Check> {
  const { url } = gateway;
  yield checkNode();
  if (url === undefined) {
    yield* await checkPrograms();
    const disk = await checkDisk(DEFAULT_DATA);
    if (disk !== undefined) yield disk;
  }
  const client = clientFor(gateway, 0);
  const begun = performance.now();
  const status = await client
    .cluster()
    // What the checks find is said of the answer, and printed.
    .then(shown)
    .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
  if (status instanceof Error) {
    yield* checkUntold(urlFor(url), status);
    return;
  }
  const nowMs = Date.now();
  yield ok('gateway', `${urlFor(url)} answers in ${duration(performance.now() - begun)}`);
  yield await checkReady(urlFor(url));
  yield* checkCluster(status, {
    command: invocation(),
    silent: silentHere(url, status.members),
    dataDir: DEFAULT_DATA,
  });
  yield* checkGatewayClock(status, nowMs);
  yield await newestDeadLetters(client).then(
    (letters) => checkDeadLetters(shown(letters), DEAD_LETTERS_ASKED, invocation()),
    (error: unknown) =>
      failure('dead letters', sentence(error), 'they are in NATS: look at that first'),
  );
}

/** Of a gateway that does not describe its cluster. */
async function* checkUntold(url: string, error: Error): AsyncGenerator<Check> {
  if (!isDenied(error)) {
    const advice = isNoGateway(error)
      ? `name a gateway with --url: another server listens on ${url}`
      : error instanceof ClusterError && error.code === 'ROUTE_NOT_FOUND'
        ? 'the gateway is there, and serves operators on a port of their own (ENGRAM_ADMIN_PORT): name that one with --url'
        : 'everything else is asked of a gateway: bring one up first';
    yield failure('gateway', sentence(error), advice);
    return;
  }
  yield failure(
    'gateway',
    `${url} is there, and does not take the caller: ${printable(error.message)}`,
    'give a key with the scope *:admin, with --api-key-file FILE or in ENGRAM_API_KEY',
  );
  yield await checkReady(url);
}

async function checkReady(url: string): Promise<Check> {
  const place = new URL('readyz', url.endsWith('/') ? url : `${url}/`);
  try {
    const response = await fetch(place, { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
    if (response.ok) return ok('ready', 'the gateway serves');
    return failure(
      'ready',
      `the gateway is not ready: ${printable(await response.text())}`,
      'the lines below say why; load balancers send it nothing until then',
    );
  } catch (error) {
    return failure('ready', sentence(error), `look whether something stands before ${url}`);
  }
}

async function newestDeadLetters(client: EngramClient): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of client.deadLetters.list({ pageSize: DEAD_LETTERS_ASKED })) {
    letters.push(letter);
    if (letters.length === DEAD_LETTERS_ASKED) break;
  }
  return letters;
}

function lineOf({ name, state, found, advice }: Check): string {
  const text = `${name.padEnd(NAME_WIDTH)} ${found}`;
  const todo = advice === undefined ? '' : `\n  → ${advice}`;
  if (state === 'ok') return `${colors.green('✔')} ${text}`;
  return `${state === 'warning' ? warningLine(text) : failureLine(text)}${todo}`;
}

function summaryOf(checks: readonly Check[]): string {
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length;
  const [failures, warnings] = [count('failure'), count('warning')];
  if (failures + warnings === 0) return colors.green(`All ${checks.length} checks are fine.`);
  return `${counted(failures, 'failure')}, ${counted(warnings, 'warning')}, ${count('ok')} fine.`;
}
