import { once } from 'node:events';
import { resolve } from 'node:path';
import {
  findNatsServer,
  findRedisServer,
  isRunning,
  LocalCluster,
  readClusterState,
  type FindOptions,
} from '@engram/local-cluster';
import { Command } from 'commander';
import { runDemo } from '../demo.ts';
import { checkedLine, counted, duration, explained, integerIn, warningLine } from '../format.ts';
import { EXIT, jsonOption, printJson, printNote, reporting, sentence } from '../output.ts';
import { Checklist } from '../up/checklist.ts';
import { startDetached, tellStarter } from '../up/detached.ts';
import { summaryOf, summaryText, type UpSummary } from '../up/summary.ts';
import { showStatus } from './status.ts';

interface Options {
  readonly shards: number;
  readonly gateways: number;
  readonly port: number;
  readonly data: string;
  readonly demo: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
}

/**
 * `engram up`: runs a cluster on this machine until the signal aborts, or, detached, in the
 * background.
 */
export function upCommand(signal: AbortSignal = new AbortController().signal): Command {
  return new Command('up')
    .description('run a cluster on this machine')
    .option('--shards <n>', 'shards', integerIn(1, 64), 2)
    .option('--gateways <n>', 'gateways', integerIn(1, 16), 1)
    .option('--port <n>', 'of the first gateway; 0 is any free one', integerIn(0, 65_535), 7700)
    .option('--data <dir>', 'folder for its data and logs', '.engram')
    .option('--no-demo', 'do not load the demo words')
    .option('--detach', 'run it in the background')
    .addOption(jsonOption())
    .addHelpText('after', HELP)
    .action(reporting((options: Options) => up(options, signal)));
}

async function up(options: Options, signal: AbortSignal): Promise<void> {
  try {
    if (alreadyRuns(options.data)) await showRunning(options);
    else if (options.detach === true) await upInBackground(options, signal);
    else await upHere(options, signal);
  } catch (error) {
    if (signal.aborted) {
      printNote('Stopped.');
      return;
    }
    const told = explained(error);
    tellStarter({ kind: 'failed', text: sentence(told) });
    throw told;
  }
}

async function upHere(options: Options, signal: AbortSignal): Promise<void> {
  const json = options.json === true;
  const print = (line: string): void => {
    if (!json) console.log(line);
    tellStarter({ kind: 'line', text: line });
  };
  const begun = performance.now();
  const cluster = await startCluster(options, print, signal);
  try {
    const summary = summaryOf(cluster);
    print(checkedLine('ready', clusterText(options), performance.now() - begun));
    if (json) printJson(summary);
    tellStarter({ kind: 'ready', summary });
    if (options.demo) await runDemo(summary.url, { json, signal });
    if (!json && !signal.aborted && process.send === undefined)
      console.log(summaryText(summary, { isDetached: false, hasDemo: options.demo }));
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    const stopping = performance.now();
    if (!json) console.log('\nStopping…');
    await cluster.close();
    const took = duration(performance.now() - stopping);
    if (!json) console.log(checkedLine('stopped', `in ${took}; the data stays in ${options.data}`));
  }
}

async function startCluster(
  options: Options,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<LocalCluster> {
  const fetching: FindOptions = {
    onFetch: (name, reason) => print(warningLine(`fetching ${name}, because ${reason}`)),
  };
  const binaries = {
    nats: await findNatsServer(fetching),
    redis: await findRedisServer(fetching),
  };
  const { shards, gateways, port } = options;
  const checklist = new Checklist({ shards, gateways }, print);
  const cluster = await LocalCluster.start({
    dataDir: options.data,
    shards,
    gateways,
    port,
    restart: true,
    binaries,
    env: serviceEnvironment(),
    onEvent: (event) => checklist.onEvent(event),
    // When this process ends at once, at a second Ctrl-C or a crash, nothing stays behind.
    onCreate: (created) => process.once('exit', () => created.kill()),
    signal,
  });
  checklist.started();
  return cluster;
}

async function upInBackground(options: Options, signal: AbortSignal): Promise<void> {
  const json = options.json === true;
  const { shards, gateways, port, data } = options;
  const numbers = { '--shards': shards, '--gateways': gateways, '--port': port };
  const args = Object.entries(numbers).flatMap(([name, value]) => [name, String(value)]);
  const summary: UpSummary = await startDetached({
    dataDir: resolve(data),
    args: [...args, '--data', data, '--no-demo'],
    onLine: (line) => {
      if (!json) console.log(line);
    },
    signal,
  });
  if (json) printJson(summary);
  if (options.demo) await runDemo(summary.url, { json, signal });
  if (!json) console.log(summaryText(summary, { isDetached: true, hasDemo: options.demo }));
}

/** Settings of gateways and shards go through; `ENGRAM_URL` is for commands. */
function serviceEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    name.startsWith('ENGRAM_') && name !== 'ENGRAM_URL' && value !== undefined
      ? [[name, value] as const]
      : [],
  );
  return Object.fromEntries(entries);
}

function clusterText({ shards, gateways }: Options): string {
  return `${counted(gateways, 'gateway')}, ${counted(shards, 'shard')}`;
}

function alreadyRuns(data: string): boolean {
  const state = readClusterState(data);
  return state !== undefined && isRunning(state.supervisor);
}

/** Asking for what is there already is no failure, even when it is not healthy. */
async function showRunning({ data, json = false }: Options): Promise<void> {
  printNote(warningLine(`a cluster runs on ${data} already:`));
  await showStatus({ data, json });
  process.exitCode = EXIT.ok;
}

const HELP = `
Starts nats-server and redis-server (fetched into ~/.cache/engram when this machine has none that is
new enough), shards and gateways, all on 127.0.0.1, and starts again what dies. Ctrl-C stops it; the
data stays. The ENGRAM_… settings of gateways and shards are taken from the environment.

Exit code: 0 stopped as asked or running already, 1 failure, 2 wrong usage.

Examples:
  $ engram up
  $ engram up --shards 4 --gateways 2 --port 8000
  $ engram up --detach --no-demo --data /var/lib/engram && engram down --data /var/lib/engram`;
