import { once } from 'node:events';
import { resolve } from 'node:path';
import { counted, duration } from '@engram/diagnosis';
import {
  findNatsServer,
  findRedisServer,
  LocalCluster,
  type FindOptions,
} from '@engram/local-cluster';
import { Command } from 'commander';
import { runDemo, type DemoResult } from '../demo.ts';
import { checkedLine, explained, integerIn, invocation, warningLine } from '../format.ts';
import { dataOption, DEFAULT_DATA, runningCluster } from '../local-url.ts';
import { EXIT, jsonOption, printJson, printNote, reporting, sentence } from '../output.ts';
import { Checklist } from '../up/checklist.ts';
import { startDetached, tellStarter } from '../up/detached.ts';
import { lostKeysText } from '../up/lost-keys.ts';
import { whenServed } from '../up/served.ts';
import { upSettings, type UpSettings } from '../up/settings.ts';
import { summaryOf, summaryText, type UpSummary } from '../up/summary.ts';
import { showStatus } from './status.ts';

interface Options {
  readonly shards: number;
  readonly gateways: number;
  readonly port: number;
  readonly replication?: number;
  readonly data: string;
  readonly demo: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
}

/** Options that count for a start only. */
const SIZES = ['shards', 'gateways', 'port', 'replication'];

/** After this the cluster is left to read on, and the person is told. */
const SERVED_DEADLINE_MS = 300_000;

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
    .option('--replication <n>', 'shards that hold each partition', integerIn(1, 3))
    .option('--data <dir>', 'folder for its data and logs', DEFAULT_DATA)
    .option('--no-demo', 'do not load the demo words')
    .option('--detach', 'run it in the background')
    .addOption(jsonOption())
    .addHelpText('after', HELP)
    .action(
      reporting((options: Options, command: Command) => {
        const isTyped = (name: string) => command.getOptionValueSource(name) === 'cli';
        return up(options, SIZES.filter(isTyped), signal);
      }),
    );
}

/** @param sizes those of the options that were typed and a running cluster does not take */
async function up(options: Options, sizes: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    const settings = upSettings(process.env, options.replication);
    if (runningCluster(options.data) !== undefined) await showRunning(options, sizes);
    else {
      // Who started a process in the background has told it.
      const lost = process.send === undefined ? lostKeysText(options.data, settings) : undefined;
      if (lost !== undefined) printNote(warningLine(lost));
      if (options.detach === true) await upInBackground(options, signal);
      else await upHere(options, settings, signal);
    }
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

async function upHere(options: Options, settings: UpSettings, signal: AbortSignal): Promise<void> {
  const json = options.json === true;
  // In the background its output is a log that is read some day.
  const isLog = process.send !== undefined;
  const print = (line: string): void => {
    if (!json) console.log(isLog ? `${new Date().toISOString()} ${line}` : line);
    tellStarter({ kind: 'line', text: line });
  };
  const begun = performance.now();
  const cluster = await startCluster(options, settings, print, signal);
  try {
    const summary = summaryOf(cluster, settings.wantsKeys === true);
    const isServed = await serve(summary.url, print, signal);
    if (signal.aborted) return;
    if (isServed) print(checkedLine('ready', clusterText(options), performance.now() - begun));
    tellStarter({ kind: 'ready', summary });
    const demo =
      options.demo && isServed ? await runDemo(summary.url, { json, signal }) : undefined;
    if (json) printSummary(summary, demo);
    if (!json && !signal.aborted && process.send === undefined)
      console.log(summaryText(summary, { isDetached: false, hasDemo: demo !== undefined }));
    if (!signal.aborted) await once(signal, 'abort');
  } finally {
    const stopping = performance.now();
    if (!json) console.log('\nStopping…');
    await cluster.close();
    const took = duration(performance.now() - stopping);
    if (!json) console.log(checkedLine('stopped', `in ${took}; the data stays in ${options.data}`));
  }
}

/** Told as a warning when it takes longer: what is read already is served meanwhile. */
async function serve(
  url: string,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const begun = performance.now();
  const served = await whenServed(url, { signal, deadlineMs: SERVED_DEADLINE_MS });
  const took = performance.now() - begun;
  if (served === 'served') print(checkedLine('log', 'read back', took));
  else if (served === 'late')
    print(
      warningLine(
        `the shards have not read the log back in ${duration(took)}; ` +
          `${invocation()} status shows how far they are`,
      ),
    );
  return served === 'served';
}

/** One document, whatever was asked for. */
function printSummary(summary: UpSummary, demo: DemoResult | undefined): void {
  printJson(demo === undefined ? summary : { ...summary, demo });
}

async function startCluster(
  options: Options,
  settings: UpSettings,
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
    ...(settings.partitionCount === undefined ? {} : { partitionCount: settings.partitionCount }),
    ...(settings.wantsKeys === undefined ? {} : { wantsKeys: settings.wantsKeys }),
    env: settings.services,
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
  const { shards, gateways, port, replication, data } = options;
  const numbers = {
    '--shards': shards,
    '--gateways': gateways,
    '--port': port,
    '--replication': replication,
  };
  const args = Object.entries(numbers).flatMap(([name, value]) =>
    value === undefined ? [] : [name, String(value)],
  );
  const summary: UpSummary = await startDetached({
    dataDir: resolve(data),
    args: [...args, '--data', data, '--no-demo'],
    onLine: (line) => {
      if (!json) console.log(line);
    },
    signal,
  });
  const demo = options.demo ? await runDemo(summary.url, { json, signal }) : undefined;
  if (json) printSummary(summary, demo);
  if (!json) console.log(summaryText(summary, { isDetached: true, hasDemo: demo !== undefined }));
}

function clusterText({ shards, gateways }: Options): string {
  return `${counted(gateways, 'gateway')}, ${counted(shards, 'shard')}`;
}

/** Asking for what is there already is no failure, even when it is not healthy. */
async function showRunning(
  { data, json = false }: Options,
  sizes: readonly string[],
): Promise<void> {
  printNote(warningLine(`a cluster runs on ${data} already:`));
  await showStatus({ data, json });
  if (sizes.length > 0) {
    const names = sizes.map((name) => `--${name}`).join(', ');
    const stop = `${invocation()} down${dataOption(data)}`;
    printNote(warningLine(`${names} changed nothing; end it first: ${stop}`));
  }
  process.exitCode = EXIT.ok;
}

const HELP = `
Starts nats-server and redis-server (fetched into ~/.cache/engram when this machine has none that is
new enough), shards and gateways, all on 127.0.0.1, and starts again what dies. Ctrl-C stops it; the
data stays. The ENGRAM_… settings of gateways and shards are taken from the environment; the number of
partitions, ENGRAM_PARTITIONS, is fixed when the data folder is made.

Exit code: 0 stopped as asked or running already, 1 failure, 2 wrong usage.

Examples:
  $ engram up
  $ engram up --shards 4 --gateways 2 --port 8000
  $ engram up --shards 3 --replication 2
  $ engram up --detach --no-demo --data /var/lib/engram && engram down --data /var/lib/engram`;
